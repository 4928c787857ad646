"""Which record is trained on and which is held back, one strategy a file."""

from mpclean.splits import element, folds, grouped, learning_curve, random, time
from mpclean.splits import published as published_lists
from mpclean.splits.base import Strategy
from mpclean.splits.published import published, read_split
from mpclean.splits.random import shuffled

#: Every strategy that a release can be split by, by name.
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

__all__ = ["STRATEGIES", "published", "read_split", "shuffled"]
