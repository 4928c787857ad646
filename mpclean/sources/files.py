"""The files of a snapshot: found, checked, hashed, opened and bounded, packed or not, in any encoding."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from mpclean.crystal.reading.packed import PACKINGS, decode, open_packed, plain_name
from mpclean.errors import UserError
from mpclean.release.layout import is_release

#: Largest document, unpacked, in bytes: a cell of 2,000 atoms with all that its source says of it takes one
#: sixteenth. Python's objects take some twenty times the bytes that they are read from, so this is what
#: keeps a worker far below 1 GiB.
MAX_DOCUMENT = 16 << 20

#: Largest file, unpacked, that is read as a whole, in bytes.
MAX_WHOLE = 64 << 20

# What is recognised before a path is taken for documents; `mpclean.sources.SOURCES` has them all.
_OTHERS = (
    "also .db of ASE, structure files (CIF, POSCAR, extended XYZ), a folder of them, and one with id_prop.csv"
)

# UTF-32 begins with the same bytes as UTF-16, so it is looked for first.
_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class BoundError(ValueError):
    """A file says more of a record than any sane one does; tested before it is unpacked."""


def find_files(path: Path, endings: Sequence[str]) -> list[Path]:
    """Find the files of a snapshot: a file, or those of a folder in the order of their names.

    Parameters
    ----------
    path
        A file, or a folder, which is searched to any depth.
    endings
        What the names of the files may end in, in any case, each also packed.

    Raises
    ------
    UserError
        If the path does not exist, holds no such file, or one that is empty or unreadable.
    """
    packed = f"{', '.join(endings)} (or these + {', '.join(PACKINGS)})"
    if path.is_dir():
        files = [file for file in walk(path) if file.is_file() and ending(file, endings)]
        if not files:
            raise UserError(
                f"{path}: no file in this folder ends in {packed}, and it is no other kind of source; "
                f"{_OTHERS}"
            )
    elif not path.exists():
        raise UserError(f"{path}: no such file or folder")
    elif not ending(path, endings):
        raise UserError(f"{path}: not a kind of file that is read here; known: {packed}; {_OTHERS}")
    else:
        files = [path]
    for file in files:
        try:
            with file.open("rb") as handle:
                if not handle.read(1):
                    raise UserError(f"{file}: the file is empty; fetch or export it again")
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    return files


def walk(folder: Path) -> list[Path]:
    """List what a folder of records holds at any depth, by name; releases and hidden folders are not entered.

    A release that was built beside its records, or is being built there, is no record itself.
    """
    found: list[Path] = []
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = [name for name in folders if not name.startswith(".") and not is_release(here / name)]
        found += [here / name for name in (*folders, *files)]
    return sorted(found)


def has_files(path: Path, endings: Sequence[str]) -> bool:
    """Whether a path is a file, or a folder that holds one, whose name has one of the endings."""
    return any(ending(file, endings) for file in (walk(path) if path.is_dir() else [path]))


def ending(file: Path, endings: Sequence[str]) -> str | None:
    """Return which of the endings the name of a file has, packed or not; None for none."""
    name = plain_name(file)
    return next((end for end in endings if name.endswith(end)), None)


def files_sha256(files: list[Path]) -> str:
    """Hash the bytes of one file, or the hashes of several in order."""
    digests = []
    for file in files:
        with file.open("rb") as handle:
            digests.append(hashlib.file_digest(handle, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def open_file(file: Path) -> IO[bytes]:
    """Open a file of text for reading, unpacked, as UTF-8 without a mark, whatever its own mark says."""
    raw = io.BufferedReader(_Raw(open_packed(file)))
    start = raw.peek(4)[:4]
    if start.startswith(codecs.BOM_UTF8):
        raw.read(len(codecs.BOM_UTF8))
    encoding = next((name for mark, name in _WIDE.items() if start.startswith(mark)), None)
    return raw if encoding is None else io.BufferedReader(_Recoded(raw, encoding))


def read_text(file: Path, limit: int = MAX_WHOLE) -> str:
    """Read a file of text as a whole.

    Parameters
    ----------
    file
        Packed or not; UTF-8, or what a byte-order mark says.
    limit
        Largest size, unpacked, in bytes.

    Raises
    ------
    UserError
        If it cannot be unpacked, is larger, or is no text.
    """
    with open_packed(file) as handle:
        try:
            data = handle.read(limit + 1)
        except (OSError, EOFError, ValueError) as error:
            raise UserError(f"{file}: damaged, it cannot be unpacked ({error}); fetch it again") from error
    if len(data) > limit:
        raise UserError(f"{file}: larger than {limit >> 20} MiB unpacked, which is more than such a file has")
    try:
        return decode(data)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file}: neither UTF-8 nor UTF-16 with a mark ({error}); save it as UTF-8"
        ) from error


class _Raw(io.RawIOBase):
    """A file that some library opened, as `io.BufferedReader` wants it: so all can be peeked into."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read some bytes."""
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()


class _Recoded(io.RawIOBase):
    """Text of another encoding, read as the bytes of UTF-8."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._pending = b""

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read some bytes."""
        while not self._pending:
            data = self._file.read(len(buffer))
            self._pending = self._decoder.decode(data, final=not data).encode()
            if not data:
                break
        piece, self._pending = self._pending[: len(buffer)], self._pending[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()
