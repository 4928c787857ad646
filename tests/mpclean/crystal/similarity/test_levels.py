"""Keys of levels."""

from mpclean.crystal.similarity.levels import LEVELS, chemical_system, level_keys


def test_chemical_system():
    assert chemical_system("NaCl") == "Cl-Na"
    assert chemical_system("Li9Mn2Co5O16") == "Co-Li-Mn-O"
    assert chemical_system("Fe") == "Fe"


def test_keys_of_a_release(small_release):
    """Twenty rock salts: one prototype, and a formula each."""
    keys = level_keys(small_release, LEVELS, workers=1)
    assert keys.column_names == ["material_id", *LEVELS]
    assert keys["material_id"].to_pylist() == sorted(keys["material_id"].to_pylist())
    assert {name: len(keys[name].unique()) for name in LEVELS} == {
        "key": 20, "structure": 1, "formula": 20, "prototype": 1, "chemical-system": 20
    }  # fmt: skip
    salts = dict(zip(keys["formula"].to_pylist(), keys["key"].to_pylist(), strict=True))
    assert salts["MgO"] == "MgO 2 225"
