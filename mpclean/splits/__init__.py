"""Which record is trained on and which is held back, one strategy a file, and those of installed packages."""

from __future__ import annotations

from mpclean.splits import element, folds, grouped, learning_curve, random, time
from mpclean.splits import published as published_lists
from mpclean.splits.base import Strategy
from mpclean.splits.published import published, read_split
from mpclean.splits.random import shuffled
from mpclean.vocabulary.registry import Registry

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

__all__ = ["REGISTRY", "STRATEGIES", "published", "read_split", "shuffled"]

#: All strategies by name: ours, then those of installed packages.
REGISTRY: Registry[Strategy] = Registry(
    "strategy",
    "mpclean.splits",
    STRATEGIES,
    lambda name, found: isinstance(found, Strategy) and found.name == name,
    "mpclean.splits.base.Strategy with that name",
)
