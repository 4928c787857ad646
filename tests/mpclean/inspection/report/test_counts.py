"""What the histograms count, beside the same count record by record."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from mpclean.crystal.bonding import topology
from mpclean.inspection.report.bonds import LENGTH_BIN, MOST, count, excluded
from mpclean.inspection.report.elements import crystals_with
from mpclean.inspection.report.targets import _add


@pytest.fixture(scope="module")
def rows(unreported):
    return unreported.table().to_pylist()


def test_elements(unreported, rows):
    expected = Counter(z for row in rows for z in set(row["atomic_numbers"]))
    found = crystals_with(unreported)
    assert {z: n for z, n in enumerate(found.tolist()) if n} == dict(expected)


def test_bonds(unreported, rows):
    counts = count(unreported)
    assert dict(enumerate(counts.atoms.tolist())) == {
        n: sum(row["nsites"] == n for row in rows) for n in range(len(counts.atoms))
    }
    degrees = Counter()
    for row in rows:
        per_atom = Counter(row["edge_source"])
        degrees.update(min(per_atom[atom], MOST) for atom in range(row["nsites"]))
    assert {k: n for k, n in enumerate(counts.degrees.tolist()) if n} == dict(degrees)
    lengths = Counter(int(np.float32(x) / LENGTH_BIN) for row in rows for x in row["edge_length"])
    assert {k: n for k, n in enumerate(counts.lengths.tolist()) if n} == dict(lengths)
    assert counts.per_atom.sum() == len(rows)
    found = Counter(
        int(
            topology(
                np.array([row["nsites"]]),
                np.array(row["edge_source"]),
                np.array(row["edge_target"]),
                np.array(row["edge_image"]).reshape(-1, 3),
            ).dimensionality[0]
        )
        for row in rows
    )
    assert {k: n for k, n in enumerate(counts.dimensionality.tolist()) if n} == dict(found)


def test_dimensionality_of_what_was_dropped():
    details = [
        "dimensionality 2",
        "dimensionality 0",
        "dimensionality 2",
        "a layer",
        "dimensionality 7",
        None,
    ]
    ledger = pa.table({"rule": ["dimensionality"] * 6 + ["size"], "detail": [*details, "dimensionality 1"]})
    assert excluded(ledger).tolist() == [1, 0, 2, 0]
    assert excluded(ledger.slice(3)).tolist() == [0, 0, 0, 0]


def test_batches_add_up_to_mean_and_deviation():
    values = np.random.default_rng(0).normal(1e6, 1.0, 1000)
    n, mean, squares = np.zeros((1, 1)), np.zeros((1, 1)), np.zeros((1, 1))
    for part in np.split(values, [0, 1, 10, 500]):
        _add(part, n, mean, squares, (0, 0))
    assert n[0, 0] == 1000
    assert mean[0, 0] == pytest.approx(values.mean(), rel=1e-14)
    assert np.sqrt(squares[0, 0] / 1000) == pytest.approx(values.std(), rel=1e-9)
