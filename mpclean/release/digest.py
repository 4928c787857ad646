"""Hashes of files and of the content of tables."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Rows that are hashed at a time; they stand in memory once more, strings as Python's.
_ROWS = 65_536


def file_sha256(path: Path) -> str:
    """Hash of the bytes of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ContentDigest:
    """A hash over values, whatever files, row groups or compression they came in.

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
        """The content hash of what was taken in, hexadecimal."""
        lines = [f"{name} {digest.hexdigest()}" for name, digest in sorted(self._columns.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _update(digest: hashlib._Hash, column: pa.Array) -> None:
    # Rows are framed one by one, so that no two different columns give the same stream and
    # the stream does not depend on where chunks begin.
    valid = column.is_valid().to_numpy(zero_copy_only=False).astype("u1")
    if pa.types.is_list(column.type):
        lengths = column.value_lengths().fill_null(0).to_numpy().astype("<i4")
        values = column.flatten().to_numpy(zero_copy_only=False)
        width = values.dtype.itemsize
        flat, starts = values.tobytes(), lengths.cumsum() - lengths
        for ok, length, start in zip(valid, lengths, starts, strict=True):
            digest.update(bytes([ok]) + length.tobytes())
            digest.update(flat[start * width : (start + length) * width])
    elif pa.types.is_string(column.type):
        for text in column.to_pylist():
            encoded = b"" if text is None else text.encode()
            digest.update(bytes([text is not None]) + len(encoded).to_bytes(4, "little") + encoded)
    else:
        empty = pa.scalar(False) if pa.types.is_boolean(column.type) else pa.scalar(0, column.type)
        values = pc.fill_null(column, empty).to_numpy(zero_copy_only=False)
        framed = [valid.reshape(-1, 1), values.reshape(-1, 1).view("u1").reshape(len(values), -1)]
        digest.update(np.hstack(framed).tobytes())
