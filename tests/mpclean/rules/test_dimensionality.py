"""Layers, chains and molecules leave."""

import pytest

from mpclean.rules.dimensionality import Dimensionality


def test_only_three_dimensions_stay(keys):
    kept, dropped = Dimensionality().apply(
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
    assert Dimensionality().after_bonds


@pytest.mark.parametrize(("wanted", "title"), [(2, "two-dimensional"), (0, "zero-dimensional")])
def test_others_can_be_asked_for(keys, wanted, title):
    rule = Dimensionality(wanted)
    rows = [{"material_id": f"mp-{d}", "dimensionality": d} for d in (3, 2, 1, 0)]
    kept, excluded = rule.apply(keys(*rows))
    assert kept["dimensionality"].to_pylist() == [wanted]
    assert rule.title == title
    assert set(excluded["reason"].to_pylist()) == {f"not {title}"}
