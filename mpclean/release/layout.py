"""Where things lie in a release folder."""

from __future__ import annotations

MANIFEST = "manifest.json"
CARD = "README.md"
CROISSANT = "croissant.json"
LEDGER = "ledger/excluded.parquet"
LISTED = "replay/listed.parquet"
REPORT = "report"

#: Version of the layout and of the manifest; readers refuse a higher one.
FORMAT_VERSION = 1

#: Largest shard, bytes before compression.
SHARD_BYTES = 500_000_000

#: Rows in a row group: some 20 MB of crystals before compression.
ROW_GROUP = 4096


def shard(split: str, index: int, count: int) -> str:
    """Path of a shard in a release: ``data/train-00000-of-00002.parquet``."""
    return f"data/{split}-{index:05d}-of-{count:05d}.parquet"


def split_table(strategy: str) -> str:
    """Path of the table that says which record is in which split by a strategy."""
    return f"splits/{strategy}.parquet"
