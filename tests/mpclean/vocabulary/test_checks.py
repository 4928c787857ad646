"""Every way in which a table can be wrong is found, all at once, with the first record of each."""

import numpy as np
import pyarrow as pa
import pytest

from mpclean import UserError
from mpclean.vocabulary.checks import Violation, repeated, report, require, violations
from mpclean.vocabulary.schema import BONDED, COLUMNS, DOCUMENTS, LEDGER, PREPARED, RELEASE, SPLIT


@pytest.fixture
def rows(small_release):
    """Good rows of a release as Python values, free to be spoiled."""
    return small_release.table().to_pylist()


def table(rows, schema=RELEASE):
    return pa.Table.from_pylist(rows, schema=schema)


def test_what_is_good(small_release, demo_release):
    for release in (small_release, demo_release):
        assert violations(release.table(), RELEASE) == []
        assert violations(release.assigned("random"), SPLIT) == []
        assert violations(release.ledger(), LEDGER) == []
    batch, *_ = small_release.table().combine_chunks().to_batches()
    assert violations(batch, RELEASE) == []
    assert violations(RELEASE.empty_table(), RELEASE) == []
    require(batch.slice(3, 4), RELEASE, "part of a batch")


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("material_id", None, "null"),
        ("formula", None, "null"),
        ("spacegroup_number", 0, "not one of 1 to 230"),
        ("spacegroup_number", 231, "not one of 1 to 230"),
        ("nsites", 0, "no finite number in [1, 10000]"),
        ("bravais_lattice", "cK", "not one of aP, mP, mC, oP, oC, oI, oF, tP, tI, hR, hP, cP, cI, cF"),
        ("lattice", None, "null"),
        ("lattice", [1.0] * 8, "not 9 values"),
        ("lattice", [1.0] * 8 + [np.nan], "no finite number in [-100000, 100000] A"),
        ("lattice", [1.0] * 8 + [None], "null in a list"),
        ("atomic_numbers", [12, 119], "no finite number in [1, 118]"),
        ("frac_coords", [0.0] * 5, "not 3 values for each of atomic_numbers"),
        ("frac_coords", [np.inf] + [0.0] * 5, "no finite number in [-1e+06, 1e+06]"),
        ("magnetic_moments", [0.0], "not 1 values for each of atomic_numbers"),
        ("magnetic_moments", [0.0, np.inf], "no finite number"),
        ("edge_source", [0] * 11 + [2], "beyond atomic_numbers"),
        ("edge_target", [0] * 11 + [2], "beyond atomic_numbers"),
        ("edge_target", [0] * 11, "not 1 values for each of edge_source"),
        ("edge_image", [0] * 37, "not 3 values for each of edge_source"),
        ("edge_length", [0.0] * 12, "no finite number in [0.001, 1000] A"),
        ("edge_length", [2.0] * 13, "not 1 values for each of edge_source"),
        ("edge_area", [-1.0] * 12, "no finite number in [0, 1e+09] A^2"),
        ("edge_area", [2.0] * 11, "not 1 values for each of edge_source"),
        ("formation_energy_per_atom", np.nan, "no finite number in [-50, 50] eV/atom"),
        ("formation_energy_per_atom", 50.1, "no finite number in [-50, 50] eV/atom"),
        ("band_gap", -0.1, "no finite number in [0, 50] eV"),
        ("magnetization_per_atom", np.inf, "no finite number"),
    ],
)
def test_one_wrong_value(rows, column, value, problem):
    rows[4][column] = rows[7][column] = value
    found = violations(table(rows), RELEASE)
    (violation,) = (entry for entry in found if (entry.column, entry.problem) == (column, problem))
    assert violation.records == 2
    name = rows[4]["material_id"] or "row 4"
    assert violation.first == (name if isinstance(value, list | None) else f"{name}: {value!r}")
    # All else that is found hangs on the same value: lists that have its length.
    assert all(COLUMNS[entry.column].length[1] == column for entry in found if entry is not violation)


@pytest.mark.parametrize("column", [*RELEASE.names[14:], "magnetic_moments"])
def test_labels_may_be_null(rows, column):
    rows[0][column] = None
    assert violations(table(rows), RELEASE) == []


def test_columns(rows):
    good = table(rows)
    spoiled = good.drop_columns(["efermi", "lattice"]).append_column("colour", pa.array(["red"] * len(good)))
    place = spoiled.schema.get_field_index("band_gap")
    spoiled = spoiled.set_column(place, "band_gap", spoiled["band_gap"].cast(pa.float32()))
    assert violations(spoiled, RELEASE) == [
        Violation("colour", "no such column is expected"),
        Violation("lattice", "the column is missing, or there twice"),
        Violation("efermi", "the column is missing, or there twice"),
        Violation("band_gap", "float where double is expected"),
    ]
    twice = pa.table([*good.columns, good["efermi"]], names=[*good.column_names, "efermi"])
    assert violations(twice, RELEASE) == [Violation("efermi", "the column is missing, or there twice")]


def test_the_order_of_columns_is_free(rows):
    good = table(rows)
    assert violations(good.select(good.column_names[::-1]), RELEASE) == []


def test_everything_at_once(rows):
    rows[1]["lattice"] = None
    rows[2]["band_gap"] = -1.0
    rows[5]["band_gap"] = -2.0
    rows[3]["edge_target"] = [9] * 12
    with pytest.raises(UserError) as caught:
        require(table(rows).drop_columns(["nsites"]), RELEASE, "some rows")
    ids = [row["material_id"] for row in rows]
    assert str(caught.value) == (
        "some rows: breaks the schema in 4 ways: nsites: the column is missing, or there twice; "
        f"lattice: null (1 records, first {ids[1]}); "
        f"edge_target: beyond atomic_numbers (1 records, first {ids[3]}); "
        f"band_gap: no finite number in [0, 50] eV (2 records, first {ids[2]}: -1.0)"
    )


def test_a_record_with_a_reason_needs_no_cell():
    lost = {"position": 3, "reason": "no structure", "detail": "line 4"}
    for schema in (PREPARED, BONDED):
        assert violations(table([lost], schema), schema) == []
        found = violations(table([lost | {"reason": None}], schema), schema)
        assert {violation.column for violation in found} == {
            name for name in schema.names if COLUMNS[name].required and name not in ("position", "reason")
        }
        assert all(violation.problem == "null" for violation in found)
        assert found[0].first == "3"


def test_a_row_of_the_ledger_needs_a_rule_and_a_reason():
    row = {"material_id": None, "rule": "record", "reason": "no id"}
    assert violations(table([row], LEDGER), LEDGER) == []
    for name in ("rule", "reason"):
        found = violations(table([row | {"material_id": "mp-1", name: None}], LEDGER), LEDGER)
        assert found == [Violation(name, "null", 1, "mp-1")]


def test_documents():
    rows = [
        {"location": "line 1", "document": b"{}", "problem": None},
        {"location": "line 2", "document": None, "problem": "cut off"},
        {"location": "line 3", "document": b"{}", "problem": "deprecated"},
    ]
    assert violations(table(rows, DOCUMENTS), DOCUMENTS) == []
    rows += [{"location": "line 4"}, {"document": b"{}"}]
    assert violations(table(rows, DOCUMENTS), DOCUMENTS) == [
        Violation("location", "null", 1, "row 4"),
        Violation("document", "null", 1, "line 4"),
    ]


def test_repeated():
    ids = pa.chunked_array([["a", "b"], ["b", "c", "c", "c"]])
    assert repeated(ids) == [Violation("material_id", "stands here twice", 2, "b")]
    assert repeated(ids.slice(0, 2)) == []
    assert report("x", repeated(ids)) == (
        "x: breaks the schema in 1 ways: material_id: stands here twice (2 records, first b)"
    )


def test_chunks_make_no_difference(rows):
    rows[4]["band_gap"] = -1.0
    rows[11]["frac_coords"] = [0.5]
    rows[2]["magnetic_moments"] = None
    whole = table(rows)
    parts = pa.concat_tables([whole.slice(0, 3), whole.slice(3, 9), whole.slice(12)])
    assert violations(parts, RELEASE) == violations(whole.combine_chunks(), RELEASE)
    assert len(violations(parts, RELEASE)) == 2
