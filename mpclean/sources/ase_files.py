"""Extended XYZ files and databases of ASE (SQLite `.db` or JSON), read by ASE.

What a frame states beside its atoms, its ``info`` or its key-value pairs, is read under its
name where the name is one that `mpclean.sources.documents` knows: `material_id`, `band_gap`, and so on.
A frame that states no id is known by its file and its number, `frames-1`. Ids are text as it is written,
`0012` and `12` are two. Magnetic moments are those of a calculation; initial ones are a guess and are not
read.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from mpclean.crystal.reading.extxyz import Frame, frame_texts, read_frame
from mpclean.crystal.reading.objects import atoms_document
from mpclean.crystal.reading.parsers import heard
from mpclean.errors import RecordError, UserError
from mpclean.sources.base import Identity, Source, batched_documents
from mpclean.sources.files import ending, files_sha256, find_files, has_files, open_file
from mpclean.sources.records import ENDINGS as DOCUMENT_ENDINGS
from mpclean.sources.records import first_document
from mpclean.vocabulary.ids import ID_KEYS

if TYPE_CHECKING:
    from ase.db.row import AtomsRow

#: Endings of the files that are read in a folder; a file by itself may also be a database as JSON.
ENDINGS = (".extxyz", ".xyz", ".db")

_Document = tuple[str, bytes | None, str | None]
_Read = Callable[[], Frame]  # raises a RecordError where the frame cannot be read


def is_ase(path: Path) -> bool:
    """Whether a path is such a file, or a folder of them that holds no snapshot of documents."""
    if path.is_dir():
        return has_files(path, ENDINGS) and not has_files(path, DOCUMENT_ENDINGS)
    document = first_document(path)
    return has_files(path, ENDINGS) or (isinstance(document, dict) and {"ids", "nextid"} <= document.keys())


def open_ase(path: Path) -> Source:
    """Frames of files as a source.

    Parameters
    ----------
    path
        A file, or a folder whose files with one of the `ENDINGS` are read in the order of
        their names.

    Raises
    ------
    UserError
        If ASE is not installed, or the path does not exist, is empty or holds no such file;
        when its batches are read, also if a file is damaged as a whole. A damaged frame is a
        record that cannot be read.
    """
    try:
        import ase
    except ImportError:
        raise UserError(f"{path}: needs ASE to be read: pip install 'mpclean[ase]'") from None
    files = find_files(path, ENDINGS if path.is_dir() else (*ENDINGS, ".json"))
    root = path if path.is_dir() else path.parent
    return Source(
        identity=Identity(
            name="ase",
            database_version=None,
            sha256=files_sha256(files),
            licence="unknown",
            citation="unknown: the format states no origin",
        ),
        batches=lambda: batched_documents(
            document for file in files for document in _documents(file, file.relative_to(root).as_posix())
        ),
        parameters={"ase": ase.__version__},
    )


def _documents(file: Path, name: str) -> Iterator[_Document]:
    """Yield the frames of a file; locations begin with the name that the file has in its snapshot."""
    stem = name.removesuffix(".gz").rsplit(".", 1)[0]
    frames = _xyz(file) if ending(file, (".extxyz", ".xyz")) else _database(file)
    try:
        for number, read in frames:
            place, frame_id = f"{name}, frame {number}", f"{stem}-{number}"
            try:
                document = _document(read(), frame_id)
            except RecordError as error:
                yield (
                    f"{place}: {error.detail}",
                    json.dumps({"immutable_id": frame_id}).encode(),
                    error.reason,
                )
            else:
                yield place, document, None
    except Exception as error:  # ASE raises whatever a file makes it raise
        message = " ".join(str(error).split())
        raise UserError(f"{file}: damaged or no file of ASE ({message:.200}); fetch it again") from error


def _document(frame: Frame, name: str) -> bytes:
    document = {
        "immutable_id": name,  # read where no other id is stated
        "total_magnetization": frame.total_magnetization,
        **frame.stated,
        "structure": frame.structure,
    }
    return json.dumps(document, default=_plain).encode()


def _plain(value: Any) -> Any:
    """Write numbers and arrays of numpy as JSON has them, and all else as text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _xyz(file: Path) -> Iterator[tuple[int, _Read]]:
    """Yield the frames of an extended XYZ file, from 1."""
    with io.TextIOWrapper(open_file(file), encoding="utf-8-sig") as lines:
        for number, text in enumerate(frame_texts(lines), start=1):
            yield number, partial(read_frame, text)


def _database(file: Path) -> Iterator[tuple[int, _Read]]:
    """Yield the rows of a database by their ids."""
    import ase.db

    kind = "json" if ending(file, (".json",)) else "db"
    if kind == "db":
        # ASE would make the tables that it misses, in a file that is not ours.
        with closing(sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro", uri=True)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'systems'").fetchall():
                raise ValueError("no table of systems")
    for row in ase.db.connect(file, type=kind, use_lock_file=False).select():
        yield row.id, partial(_row, row)


def _row(row: AtomsRow) -> Frame:
    with heard("ASE"):
        atoms, stated = row.toatoms(), dict(row.key_value_pairs)
        structure = atoms_document(atoms, row.data.get("occupancy"))
    for key in ID_KEYS:
        if isinstance(row.data.get(key), str):  # as `mpclean export` keeps it
            stated[key] = row.data[key]
        # ASE keeps no text that looks like a number: of a float the text is lost, 7E10 is 70000000000.0.
        if isinstance(stated.get(key), float | bool):
            raise RecordError(
                "id is no text", f"{key} = {stated[key]!r}; write it with a letter that no number has"
            )
    results = atoms.calc.results if atoms.calc else {}
    return Frame(structure, stated, results.get("magmom"))
