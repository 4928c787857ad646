"""The cleaning rules, one a file."""

from mpclean.rules import dimensionality, duplicate, graph, record, size
from mpclean.rules.base import Rule

#: Every rule by name.
RULES: dict[str, Rule] = {
    rule.name: rule for rule in (record.RULE, duplicate.RULE, size.RULE, dimensionality.RULE, graph.RULE)
}

__all__ = ["RULES", "Rule"]
