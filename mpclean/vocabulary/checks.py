"""Whether a table is what the vocabulary says: columns, types, nulls, words, ranges, lengths of lists.

Every table is checked where it comes to be: documents that a source yields, the files between the passes of
a build, what is written into a release, and what `ecn` makes tensors of. What lies in a release was checked
when it was written; ``mpclean verify`` does so once more, and other readers go by its hashes: checking
every row group again would make a whole read half as long again. All that is wrong is found at once. The
checks follow from `mpclean.vocabulary.schema.Column`, and run over Arrow and numpy, a column at a time, as
tables
stream by. pandera would want a second schema in words of its own, and data frames, where a column of lists
is one of objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.errors import UserError
from mpclean.vocabulary import lists
from mpclean.vocabulary.schema import COLUMNS, Column

#: Columns by which a record is named, the first that a table has and that is not null in its row.
_NAMES = ("material_id", "location", "position")


@dataclass(frozen=True)
class Violation:
    """One way in which a column is not what it should be.

    Attributes
    ----------
    column
        Its name.
    problem
        What is wrong.
    records
        Number of records with it; None where it is the column as a whole.
    first
        The first of them, with its value where that is short.
    """

    column: str
    problem: str
    records: int | None = None
    first: str | None = None

    def __str__(self) -> str:
        where = "" if self.records is None else f" ({self.records:,} records, first {self.first})"
        return f"{self.column}: {self.problem}{where}"


def violations(rows: pa.Table | pa.RecordBatch, expected: pa.Schema) -> list[Violation]:
    """Everything that is wrong with a table.

    Parameters
    ----------
    rows
        The table.
    expected
        Its columns, of the vocabulary; in any order.
    """
    table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
    found = [
        Violation(name, "no such column is expected")
        for name in table.column_names
        if name not in expected.names
    ]
    for field in expected:
        if table.column_names.count(field.name) != 1:
            found.append(Violation(field.name, "the column is missing, or there twice"))
        elif not (actual := table.schema.field(field.name).type).equals(field.type):
            found.append(Violation(field.name, f"{actual} where {field.type} is expected"))
    typed = set(expected.names) - {violation.column for violation in found}
    for name in expected.names:
        if name in typed:
            for problem, wrong in _wrong(
                COLUMNS.get(name) or Column(name, expected.field(name).type, "", ""), table, typed
            ):
                if wrong.any():
                    found.append(Violation(name, problem, int(wrong.sum()), _first(table, name, wrong)))
    return found


def repeated(ids: pa.ChunkedArray) -> list[Violation]:
    """Find the ids of a column that stand in it more than once."""
    counts = ids.value_counts()
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return [Violation("material_id", "stands here twice", len(twice), str(twice[0]))] if len(twice) else []


def report(origin: str, found: Iterable[Violation]) -> str:
    """All violations of a table in one line."""
    lines = [str(violation) for violation in found]
    return f"{origin}: breaks the schema in {len(lines)} ways: {'; '.join(lines)}"


def require(rows: pa.Table | pa.RecordBatch, expected: pa.Schema, origin: str) -> None:
    """Refuse a table with violations.

    Parameters
    ----------
    rows
        The table.
    expected
        Its columns, of the vocabulary.
    origin
        What to call it in the message.

    Raises
    ------
    UserError
        If anything is wrong with it; the message says all that is.
    """
    if found := violations(rows, expected):
        raise UserError(report(origin, found))


_Mask = NDArray[np.bool_]


def _wrong(column: Column, table: pa.Table, typed: set[str]) -> Iterator[tuple[str, _Mask]]:
    """Say what can be wrong with a column of the right type, each with (N,) whether it is."""
    values = table[column.name]
    if column.required and values.null_count:
        null = values.is_null()
        if column.unless in typed:
            null = pc.and_(null, table[column.unless].is_null())
        yield "null", null.to_numpy()
    if column.allowed is not None:
        words = pa.array(list(column.allowed), column.type)
        known = pc.or_(values.is_null(), pc.is_in(values, value_set=words))
        yield f"not one of {_words(column.allowed)}", pc.invert(known).to_numpy()
    if pa.types.is_list(column.type):
        yield from _wrong_lists(column, table, typed)
    else:
        yield from _outside(column, values)


def _wrong_lists(column: Column, table: pa.Table, typed: set[str]) -> Iterator[tuple[str, _Mask]]:
    values = table[column.name]
    lengths = lists.lengths(values)
    items = pc.list_flatten(values)
    if items.null_count:
        yield "null in a list", lists.any_in_row(items.is_null().to_numpy(), lengths)
        return
    for problem, wrong in _outside(column, items):
        yield problem, lists.any_in_row(wrong, lengths)
    if column.length and column.length[1] in ("", *typed):
        n, of = column.length
        right = n * (_lengths(table[of]) if of else np.ones(len(lengths), np.int64))
        each = f" for each of {of}" if of else ""
        yield f"not {n} values{each}", values.is_valid().to_numpy() & (lengths != right)
    if column.below in typed:
        limit = np.repeat(_lengths(table[column.below]), lengths)
        yield f"beyond {column.below}", lists.any_in_row(items.to_numpy() >= limit, lengths)


def _outside(column: Column, values: pa.ChunkedArray) -> Iterator[tuple[str, _Mask]]:
    """Numbers outside their range, or that are not finite."""
    if not len(values) or not (pa.types.is_floating(values.type) or column.valid):
        return
    low, high = column.valid or (-np.inf, np.inf)
    known = values.is_valid().to_numpy() if values.null_count else True
    numbers = values.to_numpy()
    # The smallest and largest number are quickly found; they are not numbers where one is not, or is null.
    if not (column.valid and low <= numbers.min() and numbers.max() <= high):
        inside = np.isfinite(numbers) & (numbers >= low) & (numbers <= high)
        limits = f" in [{low:g}, {high:g}] {column.unit}".rstrip() if column.valid else ""
        yield f"no finite number{limits}", known & ~inside


def _lengths(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """(N,) lengths of lists, or the numbers of a column of numbers; 0 for null."""
    if pa.types.is_list(column.type):
        return lists.lengths(column)
    return pc.fill_null(column, 0).to_numpy().astype(np.int64)


def _words(allowed: Any) -> str:
    return f"{allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else ", ".join(allowed)


def _first(table: pa.Table, column: str, wrong: _Mask) -> str:
    """Find the name of the first record that is wrong in a column, and its value if that is short."""
    row = int(wrong.argmax())
    names = (table[name][row].as_py() for name in _NAMES if name in table.column_names)
    record = next((name for name in names if name is not None), f"row {row}")
    value = table[column][row].as_py()
    return f"{record}: {value!r}" if isinstance(value, str | int | float) else str(record)
