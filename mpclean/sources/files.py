"""The files of a snapshot: found, checked, hashed and opened, packed or not."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from mpclean.errors import UserError

# What is recognised before a path is taken for documents; `mpclean.sources.SOURCES` has them all.
_OTHERS = "also .xyz, .extxyz and .db of ASE, and a folder of CIF files with id_prop.csv"


def find_files(path: Path, endings: Sequence[str]) -> list[Path]:
    """The files of a snapshot: a file, or those of a folder in the order of their names.

    Parameters
    ----------
    path
        A file, or a folder, which is searched to any depth.
    endings
        What the names of the files may end in, each with or without ``.gz``.

    Raises
    ------
    UserError
        If the path does not exist, holds no such file, or one that is empty or unreadable.
    """
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and ending(file, endings)]
        if not files:
            raise UserError(
                f"{path}: no file in this folder ends in {', '.join(endings)} (or these + .gz), and it is no "
                f"other kind of source; {_OTHERS}"
            )
    elif not path.exists():
        raise UserError(f"{path}: no such file or folder")
    elif not ending(path, endings):
        raise UserError(
            f"{path}: not a kind of file that is read here; known are {', '.join(endings)} (or these + .gz); "
            f"{_OTHERS}"
        )
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


def has_files(path: Path, endings: Sequence[str]) -> bool:
    """Whether a path is a file, or a folder that holds one, whose name has one of the endings."""
    return any(ending(file, endings) for file in (path.rglob("*") if path.is_dir() else [path]))


def ending(file: Path, endings: Sequence[str]) -> str | None:
    """Which of the endings the name of a file has, with or without ``.gz``; None for none."""
    name = file.name.lower().removesuffix(".gz")
    return next((end for end in endings if name.endswith(end)), None)


def files_sha256(files: list[Path]) -> str:
    """Hash of the bytes of one file, or of the hashes of several in order."""
    digests = []
    for file in files:
        with file.open("rb") as handle:
            digests.append(hashlib.file_digest(handle, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def open_file(file: Path) -> IO[bytes]:
    """A file opened for reading, unpacked where its name ends in ``.gz``."""
    return gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb")  # type: ignore[return-value]
