"""A folder in the format of CGCNN: a table of ids and values, and a structure file of every id.

`id_prop.csv` has lines ``id,value``, and beside it lies `id.cif` (Xie & Grossman 2018,
doi 10.1103/PhysRevLett.120.145301). The format has no header, and so says neither what the values are nor
their unit: they become the column ``id_prop``, which claims neither. People add a header, which then names
the column (``id,bulk_modulus (GPa)``), further columns, names of files in the place of ids, semicolons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from mpclean.crystal.reading.packed import plain_name
from mpclean.errors import UserError
from mpclean.sources.base import UNKNOWN, Identity, Source, batched_documents
from mpclean.sources.files import files_sha256, find_files
from mpclean.sources.label_tables import column_label, header_label
from mpclean.sources.structure_files import structure_documents, structure_files, structure_id
from mpclean.sources.text_tables import TextTable, is_number, read_csv
from mpclean.vocabulary.labels import Label
from mpclean.vocabulary.schema import COLUMNS

#: The table of a folder.
TABLE = "id_prop.csv"

#: Column of values without a name.
UNNAMED = "id_prop"

# Headers that say no more than that it is a value.
_NO_NAMES = ("value", "values", "target", "property", "prop", "y", UNNAMED)

#: Why records are excluded, in the words of the ledger.
NO_FILE = "no structure file of this id"
NO_LINE = f"no line in {TABLE}"

_Document = tuple[str, bytes | None, str | None]


@dataclass(frozen=True)
class _Lines:
    """The lines of a table: the names of its values, those that are a person's own, and the cells."""

    names: tuple[str, ...]
    labels: tuple[Label, ...]
    rows: list[tuple[int, list[str | None]]]


def is_cgcnn(path: Path) -> bool:
    """Whether a path is a folder with the table."""
    return _table(path) is not None


def _table(folder: Path) -> Path | None:
    """Find the table of a folder, packed or not, its name in any case."""
    if not folder.is_dir():
        return None
    return next(
        (file for file in sorted(folder.iterdir()) if plain_name(file) == TABLE and file.is_file()), None
    )


def open_cgcnn(folder: Path) -> Source:
    """Open a folder of structure files with their table.

    Its records are the lines of the table, then the files that it does not name. A file of several crystals
    is a record for each, ``id:block``, without the value. Other files are not read, `atom_init.json` among
    them.

    Parameters
    ----------
    folder
        Holds `id_prop.csv` and the structure files.

    Raises
    ------
    UserError
        If the table is missing, empty or no text, its header is no label, or there is no structure file.
    """
    found = _table(folder)
    if found is None:
        raise UserError(f"{folder}: no {TABLE}, which a folder in the format of CGCNN has")
    (table,) = find_files(found, (".csv",))
    structures = structure_files(folder)
    if not structures:
        raise UserError(f"{folder}: no structure file; put the file id.cif of every id beside {TABLE}")
    lines = _named(read_csv(table), str(table))
    return Source(
        identity=Identity(
            name="cgcnn",
            database_version=None,
            sha256=files_sha256([table, *structures.values()]),
            licence=UNKNOWN,
            citation=UNKNOWN,
        ),
        batches=lambda: batched_documents(_documents(lines, structures, folder)),
        labels=lines.labels,
    )


def _named(table: TextTable, origin: str) -> _Lines:
    """Find out what the columns of a table are."""
    if table.header is None:
        return _Lines((UNNAMED,), (), table.rows)
    names: list[str] = []
    labels: list[Label] = []
    for place, head in enumerate(table.header[1:], start=1):
        cells = [cells[place] or "" for _, cells in table.rows if len(cells) > place]
        numeric = sum(map(is_number, cells)) * 2 > len(cells)  # else words, such as formulas
        if not numeric or (len(table.header) == 2 and header_label(head)[0].lower() in _NO_NAMES):
            names.append(head if not numeric else UNNAMED)
            continue
        label = column_label(head, origin=origin)
        names.append(label.name)
        if label.name not in COLUMNS:
            labels.append(label)
    return _Lines(tuple(names), tuple(labels), table.rows)


def _documents(lines: _Lines, structures: dict[str, Path], folder: Path) -> Iterator[_Document]:
    named = set()
    expected = ",".join(("id", *("value" if name == UNNAMED else name for name in lines.names)))
    for number, cells in lines.rows:
        place = f"{TABLE}, line {number}"
        material_id = cells[0] or ""
        if material_id not in structures:  # some name the file
            material_id = structure_id(folder / material_id, folder) if material_id else ""
        if len(cells) != len(lines.names) + 1:
            named.add(material_id)
            yield place, None, f"{len(cells)} columns where {expected} was expected"
            continue
        labels = dict(zip(lines.names, cells[1:], strict=True))
        if (path := structures.get(material_id)) is None:
            yield place, orjson.dumps({"material_id": cells[0], **labels}), NO_FILE
        else:
            named.add(material_id)
            yield from structure_documents(f"{place}, {path.name}", path, material_id, labels)
    for material_id, path in structures.items():
        if material_id not in named:
            yield path.name, orjson.dumps({"material_id": material_id}), NO_LINE
