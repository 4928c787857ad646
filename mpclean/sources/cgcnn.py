"""A folder in the format of CGCNN: a table of ids and values, and a CIF file of every id.

`id_prop.csv` has lines ``id,value`` and no header, and beside it lies `id.cif` (Xie & Grossman
2018, doi 10.1103/PhysRevLett.120.145301). The format says neither what the values are nor their
unit, so they become the column ``id_prop``, which claims neither.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import orjson

from mpclean.crystal.reading import written_in
from mpclean.errors import UserError
from mpclean.sources.base import Identity, Source, batched_documents
from mpclean.sources.files import files_sha256, find_files

#: The table of a folder.
TABLE = "id_prop.csv"

#: Why records are left out, in the words of the ledger.
NO_FILE = "no CIF file of this id"
NO_LINE = f"no line in {TABLE}"

_Document = tuple[str, bytes | None, str | None]


def is_cgcnn(path: Path) -> bool:
    """Whether a path is a folder with the table."""
    return (path / TABLE).is_file()


def open_cgcnn(folder: Path) -> Source:
    """Open a folder of CIF files with their table.

    Its records are the lines of the table, then the CIF files that it does not name. A file of several
    blocks is a record for each, ``id:block``, without the value. Other files are not read,
    `atom_init.json` among them.

    Parameters
    ----------
    folder
        Holds `id_prop.csv` and the CIF files.

    Raises
    ------
    UserError
        If the table is missing, empty or no text, or there is no CIF file.
    """
    if not is_cgcnn(folder):
        raise UserError(f"{folder}: no {TABLE}, which a folder in the format of CGCNN has")
    (table,) = find_files(folder / TABLE, (".csv",))
    structures = {path.stem: path for path in sorted(folder.glob("*.cif"))}
    if not structures:
        raise UserError(f"{folder}: no CIF file; put the file id.cif of every id beside {TABLE}")
    lines = _lines(table)
    return Source(
        identity=Identity(
            name="cgcnn",
            database_version=None,
            sha256=files_sha256([table, *structures.values()]),
            licence="unknown",
            citation="unknown: the format states no origin",
        ),
        batches=lambda: batched_documents(_documents(lines, structures)),
    )


def _lines(table: Path) -> list[tuple[int, list[str]]]:
    """Read the lines that are not blank, with their numbers."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{table}: not a table of id,value ({error}); export it as CSV in UTF-8") from error


def _documents(lines: list[tuple[int, list[str]]], structures: dict[str, Path]) -> Iterator[_Document]:
    named = set()
    for number, row in lines:
        place = f"{TABLE}, line {number}"
        named.add(row[0])
        if len(row) != 2:
            yield place, None, f"{len(row)} columns where id,value was expected"
        elif (path := structures.get(row[0])) is None:
            yield place, orjson.dumps({"material_id": row[0], "id_prop": row[1]}), NO_FILE
        else:
            yield from _crystals(f"{place}, {path.name}", path, row[0], row[1])
    for material_id, path in structures.items():
        if material_id not in named:
            yield path.name, orjson.dumps({"material_id": material_id}), NO_LINE


def _crystals(place: str, path: Path, material_id: str, value: str) -> Iterator[_Document]:
    """Yield the documents of a file: one, or one for each block, ``id:block``."""
    written = written_in(path)
    for one in written:
        document = {"material_id": material_id + one.suffix, "structure": one.structure}
        where = f"{place}, {one.place}".removesuffix(", ")
        if one.problem is not None:
            yield f"{where}: {one.problem.detail}", orjson.dumps(document), one.problem.reason
            continue
        if len(written) == 1:
            document["id_prop"] = value
        else:  # which of them the value is of, nobody knows
            many = f"its file has {len(written)} crystals"
            document["note"] = f"value {value} of {material_id} not used: {many}"
        yield where, orjson.dumps(document), None
