"""Which record is trained on and which is held back, one strategy a file."""

from mpclean.splits.published import published, read_split
from mpclean.splits.random import shuffled

__all__ = ["published", "read_split", "shuffled"]
