"""Which record is trained on and which is held back, one strategy a file, and those of installed packages."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points

from mpclean.errors import UserError
from mpclean.splits import element, folds, grouped, learning_curve, random, time
from mpclean.splits import published as published_lists
from mpclean.splits.base import Strategy
from mpclean.splits.published import published, read_split
from mpclean.splits.random import shuffled

#: Entry points in which an installed package names its strategies, ``name = "package.module:STRATEGY"``.
ENTRY_POINTS = "mpclean.splits"

#: Our own strategies that a release can be split by, by name.
STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        random.STRATEGY,
        *grouped.STRATEGIES,
        element.STRATEGY,
        folds.STRATEGY,
        learning_curve.STRATEGY,
        time.STRATEGY,
        published_lists.STRATEGY,
    )
}

__all__ = ["STRATEGIES", "find_strategy", "known_strategies", "published", "read_split", "shuffled"]


@cache
def known_strategies() -> tuple[str, ...]:
    """Name the strategies that there are: ours, then those of installed packages; a name of ours is ours."""
    others = (point.name for point in entry_points(group=ENTRY_POINTS))
    return (*STRATEGIES, *sorted(set(others) - set(STRATEGIES)))


@cache
def find_strategy(name: str) -> Strategy:
    """Find a strategy.

    Parameters
    ----------
    name
        One of `known_strategies`.

    Raises
    ------
    UserError
        If there is no such strategy, or what a package registered is none.

    Examples
    --------
    >>> find_strategy("formula").keeps_apart
    ('formula', 'key', 'structure')
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    if name not in known_strategies():
        near = get_close_matches(name, known_strategies(), 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"unknown strategy {name!r}; {hint}known: {', '.join(known_strategies())}")
    (point, *_) = entry_points(group=ENTRY_POINTS, name=name)
    try:
        found = point.load()
    except Exception as error:  # whatever the code of a package raises
        raise UserError(f"strategy {name!r}: {point.value} cannot be imported ({error})") from error
    if not (isinstance(found, Strategy) and found.name == name):
        raise UserError(f"strategy {name!r}: {point.value} is no mpclean.splits.base.Strategy with that name")
    return found
