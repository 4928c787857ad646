"""The cleaning rules, one a file, and those of installed packages."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points

from mpclean.errors import UserError
from mpclean.rules.base import Rule
from mpclean.rules.dimensionality import Dimensionality
from mpclean.rules.duplicate import Duplicate
from mpclean.rules.graph import Graph
from mpclean.rules.record import Record
from mpclean.rules.size import Size

__all__ = ["RULES", "Rule", "find_rule", "known_rules"]

#: Entry points in which an installed package names its rules, ``name = "package.module:Class"``.
ENTRY_POINTS = "mpclean.rules"

#: Our own rules by name, in the order of the paper.
RULES: dict[str, type[Rule]] = {rule.name: rule for rule in (Record, Duplicate, Size, Dimensionality, Graph)}


@cache
def known_rules() -> tuple[str, ...]:
    """Name the rules that there are: ours, then those of installed packages; a name of ours is ours."""
    others = (point.name for point in entry_points(group=ENTRY_POINTS))
    return (*RULES, *sorted(set(others) - set(RULES)))


@cache
def find_rule(name: str) -> type[Rule]:
    """Find the class of a rule.

    Parameters
    ----------
    name
        One of `known_rules`.

    Raises
    ------
    UserError
        If there is no such rule, or what a package registered is none.

    Examples
    --------
    >>> find_rule("size")().title
    'at most 50 atoms'
    """
    if name in RULES:
        return RULES[name]
    if name not in known_rules():
        near = get_close_matches(name, known_rules(), 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"unknown rule {name!r}; {hint}known: {', '.join(known_rules())}")
    (point, *_) = entry_points(group=ENTRY_POINTS, name=name)
    try:
        found = point.load()
    except Exception as error:  # whatever the code of a package raises
        raise UserError(f"rule {name!r}: {point.value} cannot be imported ({error})") from error
    if not (isinstance(found, type) and issubclass(found, Rule) and found.name == name):
        raise UserError(
            f"rule {name!r}: {point.value} is no class derived from mpclean.rules.Rule with that name"
        )
    return found
