"""Extended XYZ files and databases of ASE (SQLite `.db` or JSON), read by ASE.

What a frame states beside its atoms, its ``info`` or its key-value pairs, is read under its
name where the name is one that `mpclean.sources.documents` knows: `material_id`, `band_gap`, and so on.
A frame that states no id is known by its file and its number, `frames-1`. Magnetic moments are
those of a calculation; initial ones are a guess and are not read.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from mpclean.errors import UserError
from mpclean.sources.base import Identity, Source, batched_documents, structure_dict
from mpclean.sources.files import ending, files_sha256, find_files, has_files, open_file
from mpclean.sources.records import ENDINGS as DOCUMENT_ENDINGS
from mpclean.sources.records import first_document

if TYPE_CHECKING:
    from ase import Atoms
    from ase.db.row import AtomsRow

#: Endings of the files that are read in a folder; a file by itself may also be a database as JSON.
ENDINGS = (".extxyz", ".xyz", ".db")

#: Why a frame is left out, in the words of the ledger.
NOT_PERIODIC = "not periodic in three directions"

_Document = tuple[str, bytes | None, str | None]
# The atoms of a frame and what it states beside them, read when called.
_Frame = Callable[[], tuple["Atoms", dict[str, Any]]]


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
    """The frames of a file; locations begin with the name that the file has in its snapshot."""
    stem = name.removesuffix(".gz").rsplit(".", 1)[0]
    frames = _xyz(file) if ending(file, (".extxyz", ".xyz")) else _database(file)
    try:
        for number, frame in frames:
            place = f"{name}, frame {number}"
            try:
                document, problem = _document(frame, f"{stem}-{number}")
            except UserError as error:
                yield place, None, str(error)
            else:
                yield place, document, problem
    except Exception as error:  # ASE raises whatever a file makes it raise
        message = " ".join(str(error).split())
        raise UserError(f"{file}: damaged or no file of ASE ({message:.200}); fetch it again") from error


def _document(frame: _Frame, name: str) -> tuple[bytes, str | None]:
    """The document of a frame, and why it is left out."""
    try:
        atoms, stated = frame()
        results = atoms.calc.results if atoms.calc else {}
        moments = np.asarray(results.get("magmoms", ()))  # three an atom where they are along no axis
        document = {
            "immutable_id": name,  # read where no other id is stated
            "total_magnetization": results.get("magmom"),
            **stated,
            "structure": structure_dict(
                atoms.cell.array,
                atoms.get_chemical_symbols(),
                list(atoms.positions),
                list(moments) if moments.shape == (len(atoms),) else None,
            ),
        }
        problem = None if all(atoms.pbc) else NOT_PERIODIC
        return json.dumps(document, default=_plain).encode(), problem
    except Exception as error:  # ASE raises whatever a frame makes it raise
        raise UserError(f"frame cannot be read ({' '.join(str(error).split()):.200})") from error


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy as JSON has them, text for all else."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _xyz(file: Path) -> Iterator[tuple[int, _Frame]]:
    """The frames of an extended XYZ file, from 1; a frame begins with its number of atoms."""
    number = 0
    with io.TextIOWrapper(open_file(file), encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                number += 1
                text = line + "".join(islice(lines, int(line) + 1))
                yield number, partial(_atoms_of_text, text)


def _atoms_of_text(text: str) -> tuple[Atoms, dict[str, Any]]:
    from ase.io.extxyz import read_xyz

    (atoms,) = read_xyz(io.StringIO(text), index=slice(None))
    return atoms, atoms.info


def _database(file: Path) -> Iterator[tuple[int, _Frame]]:
    """The rows of a database by their ids."""
    import ase.db

    kind = "json" if ending(file, (".json",)) else "db"
    if kind == "db":
        # ASE would make the tables that it misses, in a file that is not ours.
        with closing(sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro", uri=True)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'systems'").fetchall():
                raise ValueError("no table of systems")
    for row in ase.db.connect(file, type=kind, use_lock_file=False).select():
        yield row.id, partial(_atoms_of_row, row)


def _atoms_of_row(row: AtomsRow) -> tuple[Atoms, dict[str, Any]]:
    return row.toatoms(), row.key_value_pairs
