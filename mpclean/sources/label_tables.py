"""Labels that stand beside the crystals: tables of ids and numbers, and the units of one's own labels."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.errors import UserError
from mpclean.sources.text_tables import NOTHING, TextTable, is_number, read_table
from mpclean.vocabulary.ids import normalise_id
from mpclean.vocabulary.labels import Label, own_label
from mpclean.vocabulary.schema import COLUMNS, SOURCE_LABELS, TARGETS

if TYPE_CHECKING:
    import pandas as pd

#: Names of the column of ids, the first that a table has; else its first column, where that holds text.
ID_COLUMNS = ("material_id", "id", "task_id", "immutable_id", "entry_id", "name", "file", "filename")

#: File beside a snapshot that states units and meanings of its labels.
TOML = "labels.toml"

# ``bulk_modulus (GPa)``, ``bulk_modulus [GPa]`` or ``bulk_modulus:GPa``.
_HEADER = re.compile(r"\s*(?P<name>[^\s(\[:]+)\s*(?:\((?P<a>.*)\)|\[(?P<b>.*)\]|:(?P<c>.*))?\s*")


@dataclass(frozen=True)
class LabelTable:
    """Numbers by id.

    Attributes
    ----------
    origin
        What to call the table in messages.
    values
        ``material_id``, then a column of float64 for every label.
    labels
        The person's own; columns that the schema knows are not among them.
    sha256
        Hash of ids and values.
    """

    origin: str
    values: pa.Table
    labels: tuple[Label, ...]
    sha256: str

    @property
    def known(self) -> tuple[str, ...]:
        """Names of its columns that the schema knows."""
        return tuple(name for name in self.values.column_names[1:] if name in COLUMNS)

    def of(self, material_ids: pa.Array | pa.ChunkedArray, name: str) -> pa.Array:
        """Return the values (N,) of a label for N ids, null where the table has none."""
        place = pc.index_in(material_ids, value_set=self.values["material_id"].combine_chunks())
        return self.values[name].combine_chunks().take(place)


def header_label(text: str) -> tuple[str, str | None]:
    """Take the header of a column apart: the name, and the unit where it states one."""
    found = _HEADER.fullmatch(text)
    if found is None:
        return text.strip(), None
    units = [unit.strip() for unit in (found["a"], found["b"], found["c"]) if unit is not None]
    return found["name"], units[0] if units else None


def column_label(header: str, wanted: Iterable[Label] = (), origin: str = "") -> Label:
    """Return the label that a column of a table is.

    Parameters
    ----------
    header
        Its header, with a unit in brackets or after a colon where it has one.
    wanted
        Labels that the person described; one of the same name counts.
    origin
        What to call the table in errors.

    Raises
    ------
    UserError
        If the unit is not that of the schema's column of this name, or it is no name of a column.
    """
    name, unit = header_label(header)
    for label in wanted:
        if label.name == name:
            return label
    if name in (*TARGETS, *SOURCE_LABELS):
        known = COLUMNS[name]
        if unit is not None and unit != known.unit:
            raise UserError(
                f"{origin}: the column {header!r} is in {unit}, and {name} in {known.unit}; convert the "
                "values, or give the column another name"
            )
        return Label(name, known.unit, known.meaning)
    try:
        return own_label(name, unit or "", f"column {name} of the table of labels")
    except UserError as error:
        raise UserError(f"{origin}: the column {header!r} cannot be a label ({error})") from error


def read_labels_toml(path: Path) -> tuple[Label, ...]:
    """Read the labels that a TOML file describes.

    Parameters
    ----------
    path
        With a table ``[labels]``: ``name = "unit"``, or ``name = {unit = "...", meaning = "..."}``.

    Raises
    ------
    UserError
        If it cannot be read or says something else.
    """
    try:
        entries = tomllib.loads(path.read_text("utf-8"))["labels"]
        return tuple(
            own_label(name, entry) if isinstance(entry, str) else own_label(name, **entry)
            for name, entry in entries.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{path}: not a description of labels ({error}); write [labels] and lines like k = "GPa"'
        ) from error


def labels_beside(path: Path) -> tuple[Label, ...]:
    """Return the labels that `labels.toml` in a folder, or the TOML beside a file, describes."""
    beside = path / TOML if path.is_dir() else path.with_name(f"{path.name.split('.')[0]}.toml")
    return read_labels_toml(beside) if beside.is_file() else ()


def open_labels(given: str | Path | pd.DataFrame, wanted: Sequence[Label] = ()) -> LabelTable:
    """Read a table of labels.

    Parameters
    ----------
    given
        A file as `mpclean.sources.text_tables.read_table` takes it, or a data frame, whose ids are a column
        of `ID_COLUMNS` or else its index.
    wanted
        Labels that the person described with their units.

    Raises
    ------
    UserError
        If there is no column of ids or of numbers, an id stands in it twice, or a number is none.
    """
    if isinstance(given, str | Path):
        return _label_table(str(given), read_table(Path(given)), wanted)
    return _label_table("the data frame of labels", _of_frame(given), wanted)


def _of_frame(frame: pd.DataFrame) -> TextTable:
    named = (
        frame if any(name in frame.columns for name in ID_COLUMNS) else frame.rename_axis("id").reset_index()
    )
    names = tuple(str(name) for name in named.columns)
    columns = [[_cell(value) for value in named[name].tolist()] for name in named.columns]
    return TextTable(names, [(n, list(cells)) for n, cells in enumerate(zip(*columns, strict=True), start=1)])


def _cell(value: Any) -> str | None:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return None if missing else str(value)


def _label_table(origin: str, table: TextTable, wanted: Sequence[Label]) -> LabelTable:
    if not table.rows:
        raise UserError(f"{origin}: the table has no row")
    width = len(table.rows[0][1])
    header = table.header or (("id", wanted[0].name) if width == 2 and wanted else None)
    if header is None:
        raise UserError(
            f"{origin}: no header says what the columns are; add one, as in id,bulk_modulus (GPa)"
        )
    for number, cells in table.rows:
        if len(cells) != len(header):
            raise UserError(f"{origin}, row {number}: {len(cells)} cells, and {len(header)} in the header")
    id_at = next((header.index(name) for name in ID_COLUMNS if name in header), 0)
    ids = [_id(cells[id_at]) for _, cells in table.rows]
    if missing := [number for (number, _), one in zip(table.rows, ids, strict=True) if not one]:
        raise UserError(f"{origin}, row {missing[0]}: no id in the column {header[id_at]}")
    seen: dict[str, int] = {}
    for (number, _), one in zip(table.rows, ids, strict=True):
        if seen.setdefault(one, number) != number:
            raise UserError(
                f"{origin}, row {number}: the id {one} stands in row {seen[one]} too; keep one of them"
            )
    columns: dict[str, pa.Array] = {"material_id": pa.array(ids, pa.string())}
    labels = []
    for place, head in enumerate(header):
        cells = [cells[place] for _, cells in table.rows]
        if place == id_at or not any(
            cell not in NOTHING and _number(cell) is not None for cell in cells if cell
        ):
            continue  # words, such as formulas
        label = column_label(head, wanted, origin)
        columns[label.name] = pa.array(_numbers(origin, label, table, cells), pa.float64())
        if label.name not in COLUMNS:
            labels.append(label)
    if len(columns) == 1:
        raise UserError(f"{origin}: no column of numbers beside the ids")
    values = pa.table(columns)
    digest = hashlib.sha256()
    for name in values.column_names:
        digest.update(f"{name}\n{values[name].to_pylist()}\n".encode())
    return LabelTable(origin, values, tuple(labels), digest.hexdigest())


def _id(cell: str | None) -> str:
    """Return the id that a cell means: the name of a file without its ending, or the cell as it is."""
    text = cell or ""
    for packing in ("", ".gz", ".bz2", ".xz", ".zst"):
        for end in (".cif", ".vasp", ".xyz", ".extxyz", ".poscar"):
            if text.lower().endswith(end + packing):
                return text[: -len(end + packing)]
    return normalise_id(text)


def _number(cell: str) -> float | None:
    lowered = cell.strip().lower()
    if lowered in ("true", "false"):
        return float(lowered == "true")
    return float(cell) if is_number(cell) and cell not in NOTHING else None


def _numbers(origin: str, label: Label, table: TextTable, cells: Sequence[str | None]) -> list[float | None]:
    """Read the cells of a column; all that are there are numbers within the range of the label."""
    low, high = label.column.valid or (-math.inf, math.inf)
    found: list[float | None] = []
    for (number, _), cell in zip(table.rows, cells, strict=True):
        value = None if cell is None or cell in NOTHING else _number(cell)
        known = cell is not None and cell not in NOTHING
        if known and (value is None or not math.isfinite(value) or not low <= value <= high):
            why = "no number" if value is None else f"out of range ({low:g} to {high:g} {label.unit})"
            raise UserError(
                f"{origin}, row {number}: {label.name} = {cell!r} is {why}; correct it or leave it empty"
            )
        found.append(value)
    return found
