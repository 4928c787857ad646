"""Tables that people type or export: CSV by comma, semicolon or tab, Parquet, JSON; every cell as written.

Nothing is taken for a number here: `0012`, `12` and `7E10` are three ids. The apostrophe by which
``ecn predict`` keeps a spreadsheet from taking an id for a formula is no part of it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mpclean.errors import UserError
from mpclean.sources.files import MAX_WHOLE, ending, open_file, read_text
from mpclean.sources.json_stream import json_documents
from mpclean.vocabulary.text import of_spreadsheet

#: Endings of tables, each also packed (Parquet by itself only).
ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".json", ".jsonl", ".ndjson")

# In the order of trust: a decimal comma is found beside a semicolon, and both beside a tab.
_DELIMITERS = ("\t", ";", ",")

#: What stands for "no value" in a cell.
NOTHING = frozenset(("", "None", "none", "null", "NULL", "nan", "NaN", "NA", "N/A", "n/a", "-"))


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes
    ----------
    header
        Names of the columns; None where there is none.
    rows
        The number of the line or row that each begins in, from 1, and its cells; None for no value.
    """

    header: tuple[str, ...] | None
    rows: list[tuple[int, list[str | None]]]


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, or stands for none."""
    if cell in NOTHING:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # Python takes 1_0 for 10


def read_csv(path: Path) -> TextTable:
    """Read a table of text: its delimiter is found, and whether it has a header.

    Parameters
    ----------
    path
        UTF-8 or UTF-16 with a mark, packed or not. The first line is a header if it holds no number beyond
        its first cell.

    Raises
    ------
    UserError
        If it is no text, a quote is not closed, or there is no row.
    """
    text = read_text(path)
    try:
        csv.field_size_limit(MAX_WHOLE)
        delimiter = delimiter_of(text)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows: list[tuple[int, list[str | None]]] = []
        line = 1
        for cells in reader:
            if cells:
                rows.append((line, [of_spreadsheet(cell.strip()) for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}: not a table of text ({error}); export it as CSV in UTF-8") from error
    if not rows:
        raise UserError(f"{path}: the table has no row")
    first = [cell or "" for cell in rows[0][1]]
    if len(first) > 1 and not any(is_number(cell) for cell in first[1:]):
        return TextTable(tuple(first), rows[1:])
    return TextTable(None, rows)


def delimiter_of(text: str) -> str:
    """Find what separates cells: what cuts most of the first lines."""
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        cut = [len(cells) > 1 for cells in islice((cells for cells in reader if cells), 20)]
        if sum(cut) * 2 > len(cut):
            return delimiter
    return ","


def read_table(path: Path) -> TextTable:
    """Read a table of any kind of the `ENDINGS`.

    Parameters
    ----------
    path
        CSV as `read_csv` takes it; Parquet; JSON, a list of objects, or lines of them.

    Raises
    ------
    UserError
        If it does not exist, is of another kind, or cannot be read.
    """
    end = ending(path, ENDINGS)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a table with a column of ids")
    if end is None:
        raise UserError(f"{path}: not a kind of table that is read here; known: {', '.join(ENDINGS)}")
    if end in (".csv", ".tsv", ".txt"):
        return read_csv(path)
    try:
        if end == ".parquet":
            return _columns(pq.read_table(path))
        return _objects(path, end)
    except (OSError, EOFError, ValueError, TypeError, pa.ArrowException) as error:
        message = " ".join(str(error).split())
        raise UserError(f"{path}: damaged or not {end[1:]} ({message:.200}); export it again") from error


def _columns(table: pa.Table) -> TextTable:
    """Write the scalar columns of an Arrow table as text."""
    names = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    columns = [[_cell(value) for value in table[name].to_pylist()] for name in names]
    rows = [(number, list(cells)) for number, cells in enumerate(zip(*columns, strict=True), start=1)]
    return TextTable(tuple(names), rows)


def _cell(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float) and value != value:  # not a number is no value
        return None
    return None if value is None else repr(value) if isinstance(value, float) else str(value)


def _objects(path: Path, end: str) -> TextTable:
    """Read a list of objects, or lines of them, numbers as they are written."""
    with open_file(path) as file:
        texts: Iterator[bytes] = json_documents(file) if end == ".json" else iter(file)
        rows = [
            json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
            for text in texts
            if text.strip()
        ]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("an object with a column of ids for every row is expected")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return TextTable(
        tuple(names),
        [
            (n, [None if row.get(name) is None else str(row[name]) for name in names])
            for n, row in enumerate(rows, 1)
        ],
    )
