"""Hashes of files and of the content of tables."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.vocabulary import lists

#: Rows that are hashed at a time; they stand in memory once more, strings as Python's.
_ROWS = 65_536


def file_sha256(path: Path) -> str:
    """Hash of the bytes of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ContentDigest:
    """A hash over values, whatever files, row groups or compression they came in, and on whatever machine.

    Rows count in their order, which is that of the source: the same records in another order have another
    hash. To sort them would mean to hold them, and of two records with one id the first is kept anyway.

    Every column of every table gets a hash of its own: validity and lengths of its rows, and
    its values in order. The content hash is taken over the names and hashes of all columns.
    """

    def __init__(self) -> None:
        self._columns: dict[str, hashlib._Hash] = {}

    def update(self, table: str, rows: pa.Table) -> None:
        """Take in more rows of a table."""
        for name in rows.schema.names:
            digest = self._columns.setdefault(f"{table}/{name}", hashlib.sha256())
            for chunk in rows[name].chunks:
                for start in range(0, len(chunk), _ROWS):
                    _update(digest, chunk.slice(start, _ROWS))

    def hexdigest(self) -> str:
        """Compute the content hash of what was taken in, hexadecimal."""
        lines = [f"{name} {digest.hexdigest()}" for name, digest in sorted(self._columns.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _update(digest: hashlib._Hash, column: pa.Array) -> None:
    # Rows are framed one by one, so that no two different columns give the same stream and
    # the stream does not depend on where chunks begin.
    valid = column.is_valid().to_numpy(zero_copy_only=False).astype("u1")
    if pa.types.is_list(column.type):
        digest.update(_framed(valid, lists.lengths(column).astype("<i4"), lists.flat(column)))
    elif pa.types.is_string(column.type):
        texts = pc.fill_null(column, "").cast(pa.binary())
        lengths = pc.binary_length(texts).to_numpy().astype("<i4")
        joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts), b"")
        digest.update(_framed(valid, lengths, np.frombuffer(joined[0].as_buffer(), "u1")))
    else:
        empty = pa.scalar(False) if pa.types.is_boolean(column.type) else pa.scalar(0, column.type)
        values = pc.fill_null(column, empty).to_numpy(zero_copy_only=False)
        framed = [valid.reshape(-1, 1), values.reshape(-1, 1).view("u1").reshape(len(values), -1)]
        digest.update(np.hstack(framed).tobytes())


def _framed(valid: NDArray[np.uint8], lengths: NDArray[np.int32], values: NDArray[np.generic]) -> bytes:
    """Rows of different lengths: whether each is valid (1 byte), its length (4 bytes), its values."""
    widths = 5 + values.dtype.itemsize * lengths.astype(np.int64)
    head = (np.cumsum(widths) - widths)[:, None] + np.arange(5)
    stream = np.empty(widths.sum(), "u1")
    stream[head] = np.column_stack([valid, lengths.view("u1").reshape(-1, 4)])
    rest = np.ones(len(stream), dtype=bool)
    rest[head] = False
    stream[rest] = np.frombuffer(values.tobytes(), "u1")
    return stream.tobytes()
