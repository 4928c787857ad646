"""What makes a bond graph invalid."""

import pytest

from mpclean.rules.graph import Graph


@pytest.mark.parametrize(
    ("found", "reason", "detail"),
    [
        ({"n_components": 1, "n_isolated": 0}, None, None),
        ({"n_components": 2, "n_isolated": 0}, "the supercell graph is not connected", "2 components"),
        ({"n_components": 9, "n_isolated": 1}, "an atom has no bond", "1 atoms"),
        ({"reason": "no covalent radius", "detail": "of Bk"}, "no covalent radius", "of Bk"),
    ],
)
def test_reasons(keys, found, reason, detail):
    valid = {"material_id": "mp-2", "n_components": 1, "n_isolated": 0}
    kept, dropped = Graph().apply(keys({"material_id": "mp-1"} | found, valid))
    if reason is None:
        assert kept["material_id"].to_pylist() == ["mp-1", "mp-2"]
        assert not dropped.num_rows
    else:
        assert kept["material_id"].to_pylist() == ["mp-2"]
        (row,) = dropped.to_pylist()
        assert (row["material_id"], row["rule"], row["reason"], row["detail"]) == (
            "mp-1", "graph", reason, detail
        )  # fmt: skip


def test_reads_bonds():
    assert Graph().after_bonds
