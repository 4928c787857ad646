"""Perov-5: 18,928 perovskites in the three files in which CDVAE published them.

The crystals and energies are those of Castelli et al. 2012 (doi 10.1039/c2ee22341d). The
files `train.csv`, `val.csv` and `test.csv`, plain or gzip, and with them the split, are those
of CDVAE (Xie et al. 2022, MIT licence): repository txie-93/cdvae at commit f857f59, folder
`data/perov_5`. A row has the columns of `COLUMNS`: an id that is unique over the three files,
a structure as CIF text, energies in eV per cell and gaps in eV.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa

from mpclean.crystal.reading.packed import plain_name
from mpclean.errors import UserError
from mpclean.sources.base import Identity, Source, batched_documents
from mpclean.sources.files import read_text
from mpclean.vocabulary.schema import PARTS, SPLIT

#: The files without their suffix, one per split of `mpclean.vocabulary.schema.PARTS`.
FILES = ("train", "val", "test")

#: Columns that hold numbers; empty means unknown.
NUMBERS = ("heat_all", "heat_ref", "dir_gap", "ind_gap")

#: Columns that a file must have.
COLUMNS = ("material_id", "cif", "formula", *NUMBERS)

_WAY_OUT = "take the files from github.com/txie-93/cdvae at commit f857f59, folder data/perov_5"


def is_perov5(path: Path) -> bool:
    """Whether a path is a folder with the three files; other data sets of CDVAE have other columns."""
    if not path.is_dir():
        return False
    try:
        head = read_text(_find(path, FILES[0])).partition("\n")[0]
        return all(_find(path, name) for name in FILES) and NUMBERS[0] in head
    except UserError:
        return False


def open_perov5(folder: Path) -> Source:
    """Perov-5 with its published split.

    Opening reads the three files once, for the ids and the hash; what is kept of them is the
    split.

    Parameters
    ----------
    folder
        Holds `train.csv`, `val.csv` and `test.csv`, packed or not.

    Raises
    ------
    UserError
        If the folder or a file is missing, empty or unreadable, or lacks a column.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {_WAY_OUT}")
    paths = [_find(folder, name) for name in FILES]
    digest = hashlib.sha256()
    ids: list[str] = []
    splits: list[str] = []
    for path, split in zip(paths, PARTS, strict=True):
        text = _text(path)
        digest.update(text.encode())  # so that the hash of a file does not depend on its packing
        new = [row["material_id"] for _, row in _rows(path, text)]
        if not new:
            raise UserError(f"{path}: no rows; {_WAY_OUT}")
        ids += new
        splits += [split] * len(new)
    return Source(
        identity=Identity(
            name="perov-5",
            database_version=None,
            sha256=digest.hexdigest(),
            licence="MIT",
            citation=(
                "Castelli et al., Energy Environ. Sci. 5, 9034 (2012), doi 10.1039/c2ee22341d; "
                "as published by Xie et al., ICLR 2022 (CDVAE), arXiv:2110.06197"
            ),
        ),
        batches=lambda: batched_documents(
            (f"{path.name}:{line}", orjson.dumps(_document(row)), None)
            for path in paths
            for line, row in _rows(path, _text(path))
        ),
        n_documents=len(ids),
        published_split=pa.table([ids, splits], schema=SPLIT),
    )


def _find(folder: Path, name: str) -> Path:
    """Find the file of a split, packed or not; the plain one where there are both."""
    files = [
        file for file in sorted(folder.iterdir()) if plain_name(file) == f"{name}.csv" and file.is_file()
    ]
    if not files:
        raise UserError(f"{folder}: no {name}.csv, packed or not; {_WAY_OUT}")
    return files[0]


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except UserError as error:
        raise UserError(f"{error}; {_WAY_OUT}") from error


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Read the rows of a file, each with the number of the line in which it begins."""
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise UserError(f"{path}: no column {', '.join(missing)}; {_WAY_OUT}")
        line = reader.line_num + 1
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV file ({error}); {_WAY_OUT}") from error


def _document(row: dict[str, str]) -> dict[str, str | float | None]:
    """Make a document: the CIF text is its structure, the id stays as published."""
    return {
        "material_id": row["material_id"],
        "structure": row["cif"],
        "formula": row["formula"],
        **{name: _number(row[name]) for name in NUMBERS},
    }


def _number(text: str | None) -> float | str | None:
    """Return a number; None where there is none. Other text stays, for the reader of documents to judge."""
    try:
        number = float(text) if text else None
    except ValueError:
        return text
    return number if number is None or math.isfinite(number) else text
