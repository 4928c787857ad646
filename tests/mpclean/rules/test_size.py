"""Fifty atoms are the most."""

from mpclean.rules.size import Size


def test_boundary(keys):
    kept, dropped = Size().apply(
        keys(*({"material_id": f"mp-{n}", "nsites": n} for n in (1, 49, 50, 51, 300)))
    )
    assert kept["nsites"].to_pylist() == [1, 49, 50]
    assert dropped.select(["material_id", "rule", "reason", "detail", "kept_id"]).to_pylist() == [
        {
            "material_id": f"mp-{n}",
            "rule": "size",
            "reason": "more than 50 atoms in the primitive cell",
            "detail": f"{n} atoms",
            "kept_id": None,
        }
        for n in (51, 300)
    ]


def test_reads_no_bonds():
    assert not Size().after_bonds


def test_the_limit_can_be_set(keys):
    kept, excluded = Size(max_atoms=2).apply(keys(*({"material_id": f"mp-{n}", "nsites": n} for n in (2, 3))))
    assert kept["nsites"].to_pylist() == [2]
    assert excluded["reason"].to_pylist() == ["more than 2 atoms in the primitive cell"]
