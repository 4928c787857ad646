"""The passes on crystals, a batch at a time."""

import json

import moyopy
import numpy as np
import pyarrow as pa
import pytest
import spglib

from mpclean.crystal.bonding import bond_graph, radius_graph
from mpclean.crystal.cells import canonical_cell
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading import read_structure
from mpclean.pipeline.steps import Bonds, BondTask, MatchTask, PrepareTask, bond, lost_group, match, prepare
from mpclean.sources import DOCUMENTS
from mpclean.vocabulary.schema import BONDED, COLUMNS, MATCHED, MATCHES, PREPARED


@pytest.fixture
def passes():
    """Both passes over documents, all readable ones surviving; what each returns, and the good rows."""

    def run(documents, kind="voronoi", position=1000):
        rows = [
            {"location": f"line {n}", "document": json.dumps(d).encode()} for n, d in enumerate(documents)
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=DOCUMENTS)
        prepared = prepare(PrepareTask(batch, position))
        survivors = prepared.filter(prepared["reason"].is_null())
        found = bond(BondTask(survivors, Bonds(kind, 1e-4, 4.0)))
        return prepared, found, found.filter(found["reason"].is_null())

    return run


def test_symmetry_is_asked_once_for_a_cell_and_a_tolerance(passes, rock_salt, monkeypatch):
    asked = []

    def noted(module, name):
        original = getattr(module, name)

        def call(cell, symprec, **options):
            what = cell.serialize_json() if hasattr(cell, "serialize_json") else repr(cell)
            asked.append((name, symprec, what))
            return original(cell, symprec=symprec, **options)

        monkeypatch.setattr(module, name, call)

    noted(moyopy, "MoyoDataset")
    noted(spglib, "get_symmetry_dataset")
    _, _, good = passes([rock_salt(1), rock_salt(2)])
    assert len(good) == 2
    assert {name for name, _, _ in asked} >= {"MoyoDataset"}
    assert len(asked) == len(set(asked))


def test_keys(passes, rock_salt):
    conventional = rock_salt(2)
    structure = conventional["structure"]
    # Twice the cell along a.
    structure["lattice"]["matrix"][0] = (2 * np.array(structure["lattice"]["matrix"][0])).tolist()
    structure["sites"] = [
        site | {"abc": [(site["abc"][0] + k) / 2, *site["abc"][1:]]}
        for site in structure["sites"]
        for k in (0, 1)
    ]
    keys, _, rows = passes([rock_salt(0, symmetry={"number": 216}), {"material_id": "mp-9"}, conventional])
    assert keys.schema == PREPARED
    assert keys["position"].to_pylist() == [1000, 1001, 1002]
    assert keys["cell_formula"].to_pylist() == ["Mg1 O1", None, "Mg1 Se1"]
    assert keys["spacegroup_number"].to_pylist() == [216, None, 225]
    assert keys["spacegroup_computed"].to_pylist() == [225, None, 225]
    assert keys["nsites"].to_pylist() == [2, None, 2]
    assert keys["reason"].to_pylist() == [None, "no structure", None]
    assert rows["formula"].to_pylist() == ["Mg1 O1", "Mg2 Se2"]  # the source's own cell
    assert rows["reduced_formula"].to_pylist() == ["MgO", "MgSe"]
    # The moment of the source's cell over the source's atoms.
    assert rows["magnetization_per_atom"].to_pylist() == [0.25, pytest.approx(0.3 / 4)]


@pytest.mark.parametrize("kind", ["voronoi", "radius"])
def test_rows_are_the_canonical_cell_and_its_graph(passes, rock_salt, kind):
    documents = [rock_salt(n) for n in range(5)]
    keys, found, rows = passes(documents, kind)
    assert found.schema == BONDED
    assert found["position"].to_pylist() == keys["position"].to_pylist() == rows["position"].to_pylist()
    for document, row in zip(documents, rows.to_pylist(), strict=True):
        cell = canonical_cell(read_structure(document["structure"]).crystal)
        crystal = cell.crystal
        graph = radius_graph(crystal, 4.0) if kind == "radius" else bond_graph(crystal)
        assert row["bravais_lattice"] == cell.bravais_lattice == "cF"
        np.testing.assert_allclose(row["lattice"], crystal.lattice.ravel(), atol=1e-12)
        np.testing.assert_allclose(row["frac_coords"], crystal.frac_coords.ravel(), atol=1e-12)
        assert row["atomic_numbers"] == crystal.atomic_numbers.tolist()
        assert row["edge_source"] == graph.source.tolist()
        assert row["edge_target"] == graph.target.tolist()
        assert row["edge_image"] == graph.image.ravel().tolist()
        np.testing.assert_allclose(row["edge_length"], graph.length, rtol=1e-6)
        if kind == "radius":
            assert row["edge_area"] is graph.area is None
        else:
            np.testing.assert_allclose(row["edge_area"], graph.area, rtol=1e-6)
        moments = dict(zip(row["atomic_numbers"], row["magnetic_moments"], strict=True))
        assert sorted(moments.values()) == sorted(crystal.magnetic_moments)


def test_bonds_that_cannot_be_found_have_a_reason(passes, rock_salt):
    heavy = rock_salt(1)
    heavy["structure"]["sites"][0]["species"][0]["element"] = "Bk"
    _, found, rows = passes([rock_salt(0), heavy, rock_salt(2)])
    assert found["reason"].to_pylist() == [None, "no covalent radius", None]
    assert "Bk" in found["detail"][1].as_py()
    assert found["dimensionality"].to_pylist() == [3, None, 3]
    assert found["n_components"].to_pylist() == [1, None, 1]
    assert found["n_isolated"].to_pylist() == [0, None, 0]
    assert rows["material_id"].to_pylist() == ["mp-1", "mp-3"]


def test_no_bonds_at_all(passes, rock_salt):
    heavy = rock_salt(1)
    heavy["structure"]["sites"][0]["species"][0]["element"] = "Bk"
    _, found, rows = passes([heavy])
    assert found["reason"].to_pylist() == ["no covalent radius"]
    assert rows.num_rows == 0


def test_each_group_is_compared_within_itself(passes, rock_salt):
    """Two groups: a rock salt, its like and a zinc blende; and a pair of which one is swollen."""
    blende = rock_salt(0)
    blende["structure"]["sites"][1]["abc"] = [0.25, 0.25, 0.25]
    swollen = rock_salt(1)
    swollen["structure"]["lattice"]["matrix"] = (1.05 * 2.4 * (1 - np.eye(3))).tolist()
    keys, _, _ = passes([rock_salt(0), blende, rock_salt(1), swollen, rock_salt(0)])
    order = [4, 1, 0, 2, 3]
    task = MatchTask(keys.select(MATCHED.names).take(pa.array(order)), np.array([3, 2]))
    found = match(task)
    assert found.schema == MATCHES
    assert found["position"].to_pylist() == [1004, 1001, 1000, 1002, 1003]
    assert found["structure_class"].to_pylist() == [1004, 1001, 1004, 1002, 1002]
    assert found["structures_match"].to_pylist() == [None, False, True, None, True]
    lost = [lost_group(group, "why") for group in task.groups()]
    assert [batch["position"].to_pylist() for batch in lost] == [[1004, 1001, 1000], [1002, 1003]]
    for batch in lost:
        assert batch.schema == MATCHES
        assert batch["structure_class"].equals(batch["position"])
        assert batch["structures_match"].null_count == len(batch)


def test_faces_of_a_chain_in_a_wide_cell_do_not_break_the_schema():
    chain = Crystal(np.diag([4.0, 400.0, 400.0]), np.array([11, 17]), np.array([[0, 0, 0], [0.5, 0, 0]]))
    area = Bonds("voronoi", 1e-4, 0.0).graph(chain).area
    np.testing.assert_allclose(area.max(), 400.0**2, rtol=1e-6)
    assert area.max() < COLUMNS["edge_area"].valid[1]
