"""Bytes of files that may be packed, and text in the encodings that people save."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

#: Endings of packed files; what they hold is told by the ending before.
PACKINGS = (".gz", ".bz2", ".xz", ".zst")

# UTF-32 begins with the same bytes as UTF-16, so it is looked for first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def plain_name(path: Path) -> str:
    """Return the name of a file without what its packing adds, in lower case."""
    name = path.name.lower()
    return name.removesuffix(next((packing for packing in PACKINGS if name.endswith(packing)), ""))


def open_packed(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacked where its name ends in one of the `PACKINGS`."""
    match path.suffix.lower():
        case ".gz":
            return cast("IO[bytes]", gzip.open(path))
        case ".bz2":
            return bz2.open(path)
        case ".xz":
            return lzma.open(path)
        case ".zst":
            # pyarrow brings zstd, which the standard library has from Python 3.14 only.
            return cast("IO[bytes]", pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
        case _:
            return path.open("rb")


def decode(data: bytes) -> str:
    """Decode text: UTF-8, or what a byte-order mark says.

    Raises
    ------
    UnicodeDecodeError
        If it is neither.
    """
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    return data.decode(encoding)
