"""Predictions say where they leave the training set."""

import ase.build
import numpy as np
import pyarrow as pa
import pytest

import ecn
from ecn.inference.limits import crystal_warnings, joint_coverage, limit_values
from ecn.runs import checkpoint
from ecn.targets.tasks import TASKS, Task

COVERAGE = {"elements": [9, 11], "n_atoms": [2, 4], "bond_length": [2.0, 3.0], "labels": [[0.5, 2.0]]}


def crystals(numbers, lengths):
    return pa.table(
        {
            "atomic_numbers": pa.array([numbers], pa.list_(pa.uint8())),
            "edge_length": pa.array([lengths], pa.list_(pa.float32())),
        }
    )


@pytest.mark.parametrize(
    ("numbers", "lengths", "warning"),
    [
        ([9, 11], [2.0, 3.0], ""),
        ([9, 17], [2.5], "elements not in the training set: Cl"),
        ([9], [2.5], "cell of another size than in the training set: 1 atoms (2 to 4)"),
        ([9, 11], [1.5, 2.5], "bonds outside the range of the training set: 1.50 A (2.00 to 3.00 A)"),
        ([9, 11], [2.5, 3.5], "bonds outside the range of the training set: 3.50 A (2.00 to 3.00 A)"),
        (None, None, ""),
    ],
)
def test_a_crystal_outside_the_training_set_is_said_to_be(numbers, lengths, warning):
    assert crystal_warnings(crystals(numbers, lengths), COVERAGE) == [warning]
    assert crystal_warnings(crystals(numbers, lengths), None) == [""]


def test_a_band_gap_is_never_below_zero():
    values, said = limit_values(np.array([-0.12, 1.0, 7.0, np.nan]), [TASKS["band_gap"]], COVERAGE)
    np.testing.assert_array_equal(values, [0.0, 1.0, 7.0, np.nan])
    assert said == [
        "band_gap cannot be negative: the model gave -0.12 eV",
        "",
        "outside the labels of the training set: 7 eV (0.5 to 2 eV)",
        "",
    ]


def test_each_target_has_limits_of_its_own():
    tasks = [TASKS["formation_energy"], Task("hardness", "hardness", column_unit="GPa")]
    coverage = COVERAGE | {"labels": [[-4.0, 0.0], [1.0, 9.0]]}
    values, said = limit_values(np.array([-1.0, 2.0, 1.0, 10.0]), tasks, coverage)
    assert values.tolist() == [-1.0, 2.0, 1.0, 10.0]
    assert [bool(text) for text in said] == [False, False, True, True]


def test_members_cover_what_any_of_them_saw():
    other = {"elements": [9, 17], "n_atoms": [1, 3], "bond_length": [2.2, 4.0], "labels": [[0.0, 1.0]]}
    joint = joint_coverage([COVERAGE, other])
    assert joint["elements"] == [9, 11, 17]
    assert (joint["n_atoms"], joint["bond_length"]) == ([1, 4], [2.0, 4.0])
    assert joint["labels"] == [[0.0, 2.0]]
    assert joint_coverage([COVERAGE, None]) is None


def test_a_run_holds_the_ranges_of_its_training_rows(run, rows):
    coverage = checkpoint.load_config(run).coverage
    assert coverage["elements"] == [3, 9, 11, 17, 19, 35, 37, 53]
    assert coverage["n_atoms"] == [2, 2]
    labels = [r["formation_energy_per_atom"] for r in rows["train"]]
    known = [label for label in labels if label is not None]
    np.testing.assert_allclose(coverage["labels"], [[min(known), max(known)]], rtol=1e-6)
    lengths = np.concatenate([r["edge_length"] for r in rows["train"]])
    assert coverage["bond_length"][0] <= lengths.min() + 1e-6


def test_a_prediction_names_the_element_that_is_new(run):
    model = ecn.load(run)
    (new,) = model.predict(ase.build.bulk("MgO", "rocksalt", a=4.2))  # a single structure
    assert "elements not in the training set: O, Mg" in new.warning
    (known,) = model.predict([ase.build.bulk("NaCl", "rocksalt", a=4.6)])
    assert known.warning == ""
