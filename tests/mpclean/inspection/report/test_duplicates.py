"""Merges by the verdict on their structures, and releases from before there was one."""

import numpy as np
import pyarrow as pa
import pytest

from mpclean.inspection.report import duplicates
from mpclean.inspection.report.base import Context
from mpclean.vocabulary.schema import LEDGER

VERDICTS = [True, False, None, False, True, False]


@pytest.fixture
def rows():
    return pa.Table.from_pylist(
        [
            {
                "material_id": f"mp-{k}",
                "rule": "duplicate",
                "energy_difference": k / 1000,
                "structures_match": v,
            }
            for k, v in enumerate(VERDICTS)
        ],
        schema=LEDGER,
    )


def test_every_verdict_has_its_rows(rows):
    found = [(value, part["material_id"].to_pylist()) for _, value, part in duplicates._by_verdict(rows)]
    assert found == [(False, ["mp-1", "mp-3", "mp-5"]), (True, ["mp-0", "mp-4"]), (None, ["mp-2"])]


def test_of_older_releases_nothing_is_claimed(rows):
    ((title, _, part),) = duplicates._by_verdict(rows.drop_columns("structures_match"))
    assert title == "not compared"
    assert part.num_rows == len(VERDICTS)


def test_bars_stack_to_all_that_are_on_the_axis(rows):
    plot = duplicates._energies(rows)
    stacked = plot.figure.axes[0].patches[-1].get_data().values
    assert stacked.sum() == np.count_nonzero(np.arange(len(VERDICTS)) >= duplicates._LEAST)
    labels = [text.get_text() for text in plot.figure.axes[0].get_legend().get_texts()]
    assert [label.rsplit(" ", 1)[1] for label in labels] == ["(3)", "(2)", "(1)"]


def test_no_duplicates_no_section(small_release):
    assert list(duplicates.blocks(Context(small_release))) == []
