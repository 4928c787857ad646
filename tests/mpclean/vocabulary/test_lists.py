"""Columns of lists are the same flat arrays in one chunk, in several, sliced and with nulls."""

import doctest

import numpy as np
import pyarrow as pa
import pytest

from mpclean.vocabulary import lists

ROWS = [[1.0, 2.0], None, [], [3.0], [4.0, 5.0, 6.0]]
TYPE = pa.list_(pa.float64())

COLUMNS = {
    "array": pa.array(ROWS, TYPE),
    "slice": pa.array([[9.0], *ROWS, [8.0, 7.0]], TYPE).slice(1, len(ROWS)),
    "one chunk": pa.chunked_array([ROWS], TYPE),
    "chunks": pa.chunked_array([ROWS[:2], [], ROWS[2:]], TYPE),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_lists_of_a_column(column):
    assert lists.lengths(column).tolist() == [2, 0, 0, 1, 3]
    assert lists.lengths(column).dtype == np.int64
    assert lists.flat(column).tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert [row.tolist() for row in lists.rows(column)] == [row or [] for row in ROWS]


@pytest.mark.parametrize("column", [pa.array([], TYPE), pa.chunked_array([], TYPE)])
def test_no_rows(column):
    assert len(lists.lengths(column)) == len(lists.flat(column)) == len(lists.rows(column)) == 0


def test_values_keep_their_type():
    column = pa.array([[1, 2], [3]], pa.list_(pa.uint8()))
    assert lists.flat(column).dtype == np.uint8
    assert np.shares_memory(*lists.rows(column)[0:1], lists.flat(column))


def test_a_null_in_a_list_is_nan():
    assert np.isnan(lists.flat(pa.array([[1.0, None]], TYPE))).tolist() == [False, True]


def test_rows_of_values():
    lengths = np.array([2, 0, 3])
    assert lists.begins(lengths).tolist() == [0, 2, 2]
    assert lists.owners(lengths).tolist() == [0, 0, 2, 2, 2]
    assert lists.any_in_row(np.array([False, True, False, False, False]), lengths).tolist() == [
        True,
        False,
        False,
    ]


def test_examples():
    assert doctest.testmod(lists).failed == 0
