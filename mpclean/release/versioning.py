"""Which version a changed release should have, by the rule of Croissant.

Croissant 1.1, section "Version" (docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html), on
MAJOR.MINOR.PATCH of a data set:

* PATCH: the data are the same, and only serialised or packaged otherwise;
* MINOR: the existing data are the same and can be had as they were; there may be new fields, new
  record sets, or new records where the old ones can be told from them, as those of another split;
* MAJOR: existing data were edited, removed or shuffled across splits, or extended so that they cannot
  easily be had as they were.

Here the data are rows, columns, splits and the ledger. New records are MINOR only where they are all in
parts that had none, in every split that was there; into a part that had records they are MAJOR, since it
cannot be had without them. New columns, new splits and new rows of the ledger are MINOR. What differs by
no more than the tolerance is the same.
"""

from __future__ import annotations

from pathlib import Path

from mpclean.release.update import amended

LEVELS = ("major", "minor", "patch")


def bump(version: str, level: str | None) -> str:
    """Raise a version after a change.

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


def raise_version(path: str | Path, level: str) -> str:
    """Give a release its next version; the command ``mpclean bump``.

    Parameters
    ----------
    path
        Folder of the release; all but its version stays, in manifest, card and Croissant.
    level
        One of `LEVELS`.

    Returns
    -------
    The version that it has now.

    Raises
    ------
    UserError
        If it is no release, or another command is writing it.
    """
    with amended(path) as amendment:
        version = bump(amendment.manifest.release_version, level)
        amendment.manifest = amendment.manifest.changed(release_version=version)
    return version
