"""Tables with a crystal in every row, in a column of CIF text or of pymatgen's JSON.

CSV, as the data sets of CDVAE are, and JSON of a data frame, as those of Matbench and matminer are. A row is
a document: its other columns are read under their names, and its id is in the first of `ID_COLUMNS` that
there is, else in the first column; in a data frame it is the index.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from mpclean.errors import UserError
from mpclean.sources.base import UNKNOWN, Identity, Source, batched_documents
from mpclean.sources.files import MAX_DOCUMENT, ending, files_sha256, find_files, open_file, walk
from mpclean.sources.label_tables import ID_COLUMNS, column_label, header_label
from mpclean.sources.text_tables import NOTHING, delimiter_of

#: Columns that hold the crystals, the first that a table has.
STRUCTURES = ("structure", "cif")

ENDINGS = (".csv", ".tsv")

#: Largest JSON of a data frame, unpacked, in bytes, which is read as a whole.
MAX_FRAME = 256 << 20

_Document = tuple[str, bytes | None, str | None]


def is_structure_table(path: Path) -> bool:
    """Whether a path is such a table, or a folder of CSV files of which the first is one."""
    files = [file for file in walk(path) if ending(file, ENDINGS)] if path.is_dir() else [path]
    if not files or not files[0].is_file():
        return False
    if ending(files[0], (".json",)):
        return _begins_like_a_frame(files[0])
    try:
        return ending(files[0], ENDINGS) is not None and _structure_column(_header(files[0])[0]) is not None
    except (OSError, EOFError, ValueError, csv.Error):
        return False  # opening it as what it is taken for says what is wrong


def open_structure_table(path: Path) -> Source:
    """Open a table, or a folder of CSV files, as a source.

    Parameters
    ----------
    path
        CSV or TSV with a header, packed or not, or JSON of a data frame.

    Raises
    ------
    UserError
        If a file is empty or damaged, has no column of `STRUCTURES`, or states another unit than the schema
        has. A row that cannot be read is a record with its reason.
    """
    files = find_files(path, ENDINGS if path.is_dir() else (*ENDINGS, ".json"))
    root = path if path.is_dir() else path.parent
    for file in files:
        if ending(file, ENDINGS):
            _names(file)
    return Source(
        identity=Identity("table", None, files_sha256(files), licence=UNKNOWN, citation=UNKNOWN),
        batches=lambda: batched_documents(
            document for file in files for document in _documents(file, file.relative_to(root).as_posix())
        ),
    )


def _documents(file: Path, name: str) -> Iterator[_Document]:
    try:
        yield from _of_csv(file, name) if ending(file, ENDINGS) else _of_frame(file, name)
    except (OSError, EOFError, ValueError, csv.Error) as error:
        message = " ".join(str(error).split())
        raise UserError(
            f"{file}: damaged or no table of crystals ({message:.200}); export it again"
        ) from error


def _lines(file: Path) -> io.TextIOWrapper:
    csv.field_size_limit(MAX_DOCUMENT)
    return io.TextIOWrapper(open_file(file), encoding="utf-8", newline="")


def _header(file: Path) -> tuple[list[str], str]:
    """Return the cells of the first line, and what separates them."""
    with _lines(file) as lines:
        head = lines.readline(MAX_DOCUMENT)
    delimiter = delimiter_of(head)
    return [cell.strip() for cell in next(csv.reader([head], delimiter=delimiter), [])], delimiter


def _structure_column(header: list[str]) -> int | None:
    return next((header.index(name) for name in STRUCTURES if name in header), None)


def _names(file: Path) -> tuple[list[str], str]:
    """Return the names of the columns, without their units, and what separates cells.

    Raises
    ------
    UserError
        If there is no column of crystals, or a column of the schema has another unit.
    """
    header, delimiter = _header(file)
    if _structure_column(header) is None:
        raise UserError(f"{file}: no column {' or '.join(STRUCTURES)} in the header of this table")
    names = []
    for cell in header:
        name, unit = header_label(cell)
        if unit is not None:
            column_label(cell, origin=str(file))
        names.append(name)
    return names, delimiter


def _of_csv(file: Path, name: str) -> Iterator[_Document]:
    names, delimiter = _names(file)
    id_at = next((names.index(one) for one in ID_COLUMNS if one in names), 0)
    with _lines(file) as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        line = 1
        for number, cells in enumerate(reader):
            place, line = f"{name}, line {line}", reader.line_num + 1
            if number == 0 or not cells:
                continue
            if len(cells) != len(names):
                yield place, None, f"{len(cells)} cells, and {len(names)} in the header"
                continue
            known = {one: cell for one, cell in zip(names, cells, strict=True) if one and cell not in NOTHING}
            yield place, orjson.dumps({**known, "material_id": cells[id_at].strip()}), None


def _begins_like_a_frame(file: Path) -> bool:
    try:
        with open_file(file) as handle:
            return (
                handle.read(16)
                .replace(b" ", b"")
                .replace(b"\n", b"")
                .startswith((b'{"columns":[', b'{"index":['))
            )
    except (OSError, EOFError, ValueError):
        return False


def _of_frame(file: Path, name: str) -> Iterator[_Document]:
    with open_file(file) as handle:
        data = handle.read(MAX_FRAME + 1)
    if len(data) > MAX_FRAME:
        raise UserError(
            f"{file}: larger than {MAX_FRAME >> 20} MiB unpacked; read it with pandas and give that "
            "to mpclean.build(source=...), or write a document a line as .jsonl"
        )
    frame: dict[str, Any] = orjson.loads(data)
    if not {"columns", "data", "index"} <= frame.keys() or _structure_column(frame["columns"]) is None:
        raise ValueError(
            f"columns, data and index of a data frame with {' or '.join(STRUCTURES)} are expected"
        )
    for number, (index, cells) in enumerate(zip(frame["index"], frame["data"], strict=True)):
        row = dict(zip(frame["columns"], cells, strict=True))
        yield f"{name}, row {number}", orjson.dumps({"material_id": str(index), **row}), None
