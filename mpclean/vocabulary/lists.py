"""Columns of lists as flat arrays: the values of all rows one after another, and where each row begins.

Crystals of different size lie in tables as lists. Here they become arrays without an object for each
row, as the code that computes over crystals, atoms and bonds wants them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

#: A column of lists, of a table or of a batch.
Lists: TypeAlias = pa.ChunkedArray | pa.Array


def lengths(column: Lists) -> NDArray[np.int64]:
    """Measure every list: (N,) numbers of values; 0 of null."""
    return pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)


def flat(column: Lists) -> NDArray[Any]:
    """Put the values of all rows one after another: (sum of lengths,), of the type of the column.

    A null row has none. A null within a list becomes NaN; integers with one among them become floats.
    """
    values = pc.list_flatten(column)
    return values.to_numpy() if isinstance(values, pa.ChunkedArray) else values.to_numpy(zero_copy_only=False)


def rows(column: Lists) -> list[NDArray[Any]]:
    """Give the list of every row as an array: N views of one buffer; empty where null."""
    return np.split(flat(column), begins(lengths(column))[1:]) if len(column) else []


def begins(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Find where each row begins among the values of all: (N,) offsets.

    Examples
    --------
    >>> begins(np.array([2, 0, 3])).tolist()
    [0, 2, 2]
    """
    return np.cumsum(lengths, dtype=np.int64) - lengths


def owners(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Find the row of every value: (sum of lengths,) numbers of rows.

    Examples
    --------
    >>> owners(np.array([2, 0, 3])).tolist()
    [0, 0, 2, 2, 2]
    """
    return np.repeat(np.arange(len(lengths)), lengths)


def any_in_row(flags: NDArray[np.bool_], lengths: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell of every row whether any of its flags is set: (N,) from (sum of lengths,).

    Examples
    --------
    >>> any_in_row(np.array([False, True, False]), np.array([2, 0, 1])).tolist()
    [True, False, False]
    """
    return np.bincount(owners(lengths)[flags], minlength=len(lengths)) > 0
