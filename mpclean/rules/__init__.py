"""The cleaning rules, one a file, and those of installed packages."""

from __future__ import annotations

from mpclean.rules.base import Rule
from mpclean.rules.dimensionality import Dimensionality
from mpclean.rules.duplicate import Duplicate
from mpclean.rules.graph import Graph
from mpclean.rules.record import Record
from mpclean.rules.size import Size
from mpclean.vocabulary.registry import Registry

__all__ = ["REGISTRY", "RULES", "Rule"]

#: Our own rules by name, in the order of the paper.
RULES: dict[str, type[Rule]] = {rule.name: rule for rule in (Record, Duplicate, Size, Dimensionality, Graph)}

#: All rules by name: ours, then those of installed packages.
REGISTRY: Registry[type[Rule]] = Registry(
    "rule",
    "mpclean.rules",
    RULES,
    lambda name, found: isinstance(found, type) and issubclass(found, Rule) and found.name == name,
    "class derived from mpclean.rules.Rule with that name",
)
