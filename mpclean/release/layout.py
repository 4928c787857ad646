"""Where things lie in a release folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

MANIFEST = "manifest.json"
CARD = "README.md"
CROISSANT = "croissant.json"
LEDGER = "ledger/excluded.parquet"
EXAMPLES = "ledger/examples.parquet"
LISTED = "replay/listed.parquet"
REPORT = "report"

#: Version of the layout and of the manifest; readers refuse a higher one. 2 added ``edge_area``.
FORMAT_VERSION = 2

#: Largest shard, bytes before compression.
SHARD_BYTES = 500_000_000

#: Rows in a row group: some 20 MB of crystals before compression.
ROW_GROUP = 4096


def is_release(folder: Path) -> bool:
    """Whether a folder looks like a release, be it a damaged one: other programs write manifests too."""
    return (folder / MANIFEST).is_file() and (folder / LEDGER).is_file()


def shard(rows: str, index: int, count: int) -> str:
    """Path of a shard of some rows: ``data/train-00000-of-00002.parquet`` of ``data/train``."""
    return f"{rows}-{index:05d}-of-{count:05d}.parquet"


def split_table(strategy: str) -> str:
    """Path of the table that says which record is in which split by a strategy."""
    return f"splits/{strategy}.parquet"


def split_rows(made_as: str, parts: Sequence[str | None]) -> str:
    """Return what `shard` calls the rows that are in these parts of the splits that were made together.

    The splits are in the order of their names: ``splits/k-fold/train_test_validation`` is what the
    second of three folds tests on, ``splits/learning-curve/none_none_train`` what only the half has.
    """
    return f"splits/{made_as}/{'_'.join(part or 'none' for part in parts)}"
