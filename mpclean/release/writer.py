"""Write the files of a release."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mpclean.release.layout import ROW_GROUP, SHARD_BYTES, shard
from mpclean.vocabulary.checks import require
from mpclean.vocabulary.schema import COLUMNS
from mpclean.vocabulary.schema import schema as vocabulary


def described(schema: pa.Schema) -> pa.Schema:
    """Return the schema with unit and meaning of every column in its metadata."""
    return pa.schema(
        [
            field.with_metadata({"unit": COLUMNS[field.name].unit, "meaning": COLUMNS[field.name].meaning})
            if field.name in COLUMNS
            else field  # a label of one's own, which says it itself
            for field in schema
        ]
    )


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table to one Parquet file, its folder made if need be."""
    require(table, vocabulary(*table.column_names), path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _writer(path, table.schema) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # Content-defined chunks let a hub store only what changed between two versions; the page
    # index lets readers skip pages.
    return pq.ParquetWriter(
        path,
        described(schema),
        compression="zstd",
        use_content_defined_chunking=True,
        write_page_index=True,
    )


class ShardWriter:
    """Writes rows into shards of equal numbers of rows.

    Parameters
    ----------
    folder
        The release.
    name
        Where the shards lie in it, as in ``data/train``.
    rows
        Rows that will come.
    size
        Their size before compression, bytes; decides the number of shards.
    schema
        Their columns.
    """

    def __init__(self, folder: Path, name: str, rows: int, size: int, schema: pa.Schema) -> None:
        self.count = max(1, math.ceil(size / SHARD_BYTES)) if rows else 0
        self._folder = folder
        self._name = name
        self._rows_per_shard = math.ceil(rows / self.count) if rows else 0
        self._schema = schema
        self._pending: list[pa.Table] = []
        self._n_pending = 0
        self._written = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: pa.Table) -> None:
        """Take in rows; whole row groups are written as they fill."""
        self._pending.append(rows)
        self._n_pending += rows.num_rows
        while self._n_pending >= (size := self._next_group()) > 0:
            self._flush(size)

    def close(self) -> None:
        """Write what is left."""
        if self._n_pending:
            self._flush(self._n_pending)
        if self._writer is not None:
            self._writer.close()

    def _next_group(self) -> int:
        """Rows of the next row group: full, or what the current shard still takes."""
        return min(ROW_GROUP, self._rows_per_shard - self._written % self._rows_per_shard)

    def _flush(self, size: int) -> None:
        table = pa.concat_tables(self._pending).combine_chunks()
        self._pending = [table.slice(size)]
        self._n_pending -= size
        if self._writer is None:
            path = self._folder / shard(self._name, self._written // self._rows_per_shard, self.count)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = _writer(path, self._schema)
        self._writer.write_table(table.slice(0, size), row_group_size=size)
        self._written += size
        if self._written % self._rows_per_shard == 0:
            self._writer.close()
            self._writer = None


def write_shards(
    folder: Path,
    batches: Iterable[tuple[str, pa.Table]],
    rows: dict[str, int],
    size_per_row: float,
    schema: pa.Schema,
) -> dict[str, int]:
    """Write shards of several names in one pass.

    Parameters
    ----------
    folder
        The release.
    batches
        Rows with the name of the shards that they go to, as in ``data/train``, in any order.
    rows
        Rows of every name.
    size_per_row
        Mean size of a row before compression, bytes.
    schema
        Columns of the rows.

    Returns
    -------
    Number of shards of every name.
    """
    writers = {
        name: ShardWriter(folder, name, count, int(count * size_per_row), schema)
        for name, count in rows.items()
    }
    for name, table in batches:
        require(table, schema, name)
        writers[name].write(table)
    for writer in writers.values():
        writer.close()
    return {name: writer.count for name, writer in writers.items()}
