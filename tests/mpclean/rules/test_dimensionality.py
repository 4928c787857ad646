"""Layers, chains and molecules leave."""

from mpclean.rules.dimensionality import RULE, dimensionality


def test_only_three_dimensions_stay(keys):
    kept, dropped = dimensionality(
        keys(*({"material_id": f"mp-{d}", "dimensionality": d} for d in (3, 2, None, 1, 0, 3)))
    )
    # Without bonds nothing is known; that is for the rule `graph`.
    assert kept["dimensionality"].to_pylist() == [3, None, 3]
    found = dropped.select(["material_id", "rule", "reason", "detail"]).to_pylist()
    assert found == [
        {
            "material_id": f"mp-{d}",
            "rule": "dimensionality",
            "reason": "not three-dimensional",
            "detail": f"dimensionality {d}",
        }
        for d in (2, 1, 0)
    ]


def test_reads_bonds():
    assert RULE.needs_bonds
