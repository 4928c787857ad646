"""Every check finds what it is for, and leaves ordinary records alone."""

import pyarrow as pa
import pytest

from mpclean.inspection.audit.labels import CHECKS, COLUMNS, own_labels, suspicious
from mpclean.vocabulary.labels import Label
from mpclean.vocabulary.schema import COLUMNS as VOCABULARY

NOTHING = {check.name: [] for check in CHECKS}


def found(table, own=()):
    return {check.name: check.material_ids for check in suspicious(table, own)}


def rows(*changes):
    """Rock salts of sodium and chlorine, each with changes."""
    plain = {
        "reduced_formula": "NaCl",
        "atomic_numbers": [11, 17],
        "formation_energy_per_atom": -2.1,
        "e_above_hull": 0.0,
        "band_gap": 5.0,
        "efermi": 1.0,
        "magnetization_per_atom": 0.0,
    }
    listed = [{"material_id": f"mp-{k}", **plain, **change} for k, change in enumerate(changes)]
    return pa.Table.from_pylist(listed, pa.schema([(name, VOCABULARY[name].type) for name in COLUMNS]))


def test_ordinary_records_pass():
    unknown = dict.fromkeys(COLUMNS[3:])
    helium = {"reduced_formula": "He", "atomic_numbers": [2], "band_gap": 17.8, "efermi": -3.0}
    iron = {"reduced_formula": "Fe", "atomic_numbers": [26], "band_gap": 0.0, "magnetization_per_atom": 2.2}
    gadolinium = {"reduced_formula": "Gd", "atomic_numbers": [64], "band_gap": 0.0}
    gadolinium["magnetization_per_atom"] = 7.6
    oxygen = {"reduced_formula": "O", "atomic_numbers": [8, 8], "magnetization_per_atom": 1.0}
    perovskite = {"atomic_numbers": [56, 22, 8, 8, 8], "heat_all": 5.2, "heat_ref": -0.35}
    perovskite |= {"dir_gap": 1.3, "ind_gap": 1.3}
    assert found(rows({}, unknown, helium, iron, gadolinium, oxygen, perovskite)) == NOTHING


def test_a_release_without_some_labels():
    plain = rows({}, {"e_above_hull": -0.1}).drop_columns(["heat_all", "heat_ref", "dir_gap", "ind_gap"])
    assert found(plain) == NOTHING | {"value": ["mp-1"]}


@pytest.mark.parametrize(
    "change",
    [
        {"formation_energy_per_atom": -13.6},
        {"formation_energy_per_atom": 8.0},
        {"e_above_hull": -0.01},
        {"band_gap": -0.1},
        {"band_gap": 40.0},
        {"efermi": 200.0},
        {"efermi": -200.0},
        {"heat_all": 10.1},
        {"heat_all": 1.0, "heat_ref": -12.1},
        {"dir_gap": 40.0},
        {"ind_gap": -0.1},
        {"dir_gap": 1.2, "ind_gap": 1.3},
    ],
)
def test_values_beyond_what_is_physical(change):
    assert found(rows({}, change)) == NOTHING | {"value": ["mp-1"]}


def test_hull_energies_that_only_rounding_makes_negative():
    assert found(rows({"e_above_hull": -1e-9})) == NOTHING


def test_a_polymorph_far_from_its_formula():
    near = {"formation_energy_per_atom": -1.2}
    far = {"formation_energy_per_atom": -1.0}
    other = {"formation_energy_per_atom": -0.5, "reduced_formula": "KCl"}
    unknown = {"formation_energy_per_atom": None}
    assert found(rows({}, {}, {}, near, far, other, unknown)) == NOTHING | {"polymorph": ["mp-4"]}


def test_two_polymorphs_do_not_say_which_is_wrong():
    assert found(rows({}, {"formation_energy_per_atom": 0.0})) == NOTHING


def test_more_moment_than_elements_carry():
    iron = {"reduced_formula": "Fe", "atomic_numbers": [26], "band_gap": 0.0, "magnetization_per_atom": 14.7}
    salt = {"magnetization_per_atom": 2.6}  # sodium can carry 1 and chlorine 4 of 5.2
    fits = {"magnetization_per_atom": 2.5}
    assert found(rows({}, iron, salt, fits)) == NOTHING | {"moment": ["mp-1", "mp-2"]}


def test_a_gap_of_metals():
    alloy = {"reduced_formula": "NaFe", "atomic_numbers": [11, 26], "band_gap": 1.3}
    metal = alloy | {"band_gap": 0.0}
    assert found(rows(alloy, metal, {})) == NOTHING | {"gap": ["mp-0"]}


def test_outliers_of_own_labels_are_found():
    """Of a label that nobody knows, the values themselves say which of them is far off."""
    modulus = Label("bulk_modulus", "GPa", "of somebody")
    values = [*(100.0 + k for k in range(40)), 4000.0, -900.0, float("inf"), None, float("nan")]
    table = rows(*({} for _ in values)).append_column("bulk_modulus", pa.array(values, pa.float64()))
    assert found(table, [modulus])["outlier of bulk_modulus"] == ["mp-40", "mp-41", "mp-42"]
    few = table.slice(36)  # of which no spread is known
    assert found(few, [modulus])["outlier of bulk_modulus"] == ["mp-42"]


def test_most_values_equal_is_no_outlier():
    flags = [0.0] * 30 + [1.0]
    table = rows(*({} for _ in flags)).append_column("flag", pa.array(flags, pa.float64()))
    assert found(table, [Label("flag", "", "0 or 1")]) == NOTHING | {"outlier of flag": []}


def test_own_labels_are_those_that_the_schema_does_not_know():
    labels = [Label("band_gap", "eV", ""), Label("bulk_modulus", "GPa", "")]
    assert own_labels(labels) == labels[1:]
