"""Which version a changed release should have, by the rule of Croissant.

Croissant 1.1, section "Version" (docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html), on
MAJOR.MINOR.PATCH of a data set:

* PATCH: the data are the same, and only serialised or packaged otherwise;
* MINOR: the existing data are the same and can be had as they were; there may be new fields, new
  record sets, or new records where the old ones can be told from them, as those of another split;
* MAJOR: existing data were edited, removed or shuffled across splits, or extended so that they cannot
  easily be had as they were.

Here the data are rows, columns, splits and the ledger. New records are MINOR only where they are all in
parts of the split of the build that had none; into a part that had records they are MAJOR, since it
cannot be had without them. New columns, new splits and new rows of the ledger are MINOR. What differs by
no more than the tolerance is the same.
"""

from __future__ import annotations

LEVELS = ("major", "minor", "patch")


def bump(version: str, level: str | None) -> str:
    """The version after a change.

    Parameters
    ----------
    version
        ``MAJOR.MINOR.PATCH`` before it.
    level
        One of `LEVELS`; None for no change.
    """
    if level is None:
        return version
    numbers = [int(number) for number in version.split(".")]
    place = LEVELS.index(level)
    return ".".join(map(str, [*numbers[:place], numbers[place] + 1, *[0] * (2 - place)]))
