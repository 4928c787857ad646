"""Equal nodes once and messages that fade, on real crystals."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pymatgen.core import Structure

from ecn.data.tensors import cell_tensors
from ecn.models import resolve
from ecn.testing import largest_changes
from mpclean.crystal.bonding import bond_graph
from mpclean.crystal.cells import PrimitiveCell, canonical_cell
from mpclean.crystal.crystal import Crystal

#: Crystals, and the atoms of the largest.
N, LARGEST = 60, 16

NETWORKS = [
    ("ecn", {"group": "S8n", "symmetry_breaking": False}),
    ("ecn", {"group": "S8", "symmetry_breaking": False}),
    *((name, {}) for name in ("cgcnn", "megnet", "schnet")),
]


@pytest.fixture(scope="module")
def crystals(data):
    column = pq.read_table(data / "mp_records.parquet", columns=["structure"])["structure"]
    structures = (Structure.from_dict(json.loads(text)) for text in column.slice(0, 4 * N).to_pylist())
    small = [structure for structure in structures if len(structure) <= LARGEST][:N]
    return [Crystal.from_pymatgen(structure) for structure in small]


@pytest.fixture(scope="module")
def cells(crystals):
    found = [canonical_cell(crystal) for crystal in crystals]
    return [(cell, bond_graph(cell.crystal)) for cell in found]


def make(name, options):
    torch.manual_seed(0)
    cls = resolve(name)
    return cls(cls.Config(width=16, n_layers=3, **options)).double().eval()


def predict(model, tensors):
    with torch.no_grad():
        return model(tensors.batch(torch.arange(len(tensors))))


@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=str)
def test_equal_nodes_once_changes_nothing_but_equal_lengths(name, options, cells):
    """Lengths count as equal within 1e-6 A, what float32 resolves: outputs move by no more than they do."""
    tensors = cell_tensors(cells).to("cpu", torch.float64)
    model = make(name, options)
    reduced = model.prepare(tensors)
    assert len(reduced.edge_source) < 0.8 * len(tensors.edge_source)
    expected, found = predict(model, tensors), predict(model, reduced)
    scale = expected.std()
    assert (found - expected).abs().max() < 1e-5 * scale
    # Orbits of the space group lie in one class at a tolerance that covers the noise of coordinates.
    coarse = make("schnet", {"same_length": 1e-2}).prepare(tensors)
    assert len(coarse.edge_source) <= len(make("schnet", {}).prepare(tensors).edge_source)


def test_orbits_of_the_space_group_share_a_class(cells):
    import spglib

    coarse = make("schnet", {"same_length": 1e-3}).prepare(cell_tensors(cells))
    for k, (cell, _) in enumerate(cells):
        crystal = cell.crystal
        orbits = spglib.get_symmetry_dataset(
            (crystal.lattice, crystal.frac_coords, crystal.atomic_numbers), symprec=1e-5
        )
        node = coarse.atom_node[coarse.atom_start[k] : coarse.atom_start[k + 1]].numpy()
        for orbit in np.unique(orbits.equivalent_atoms):
            assert len(set(node[orbits.equivalent_atoms == orbit])) == 1, k


def test_predictions_jump_unless_messages_fade(crystals):
    """Atoms moved by 1e-4 A, with the bonds found anew; random weights, in units of the spread of outputs."""

    def changes(**fading):
        model = make("schnet", fading)

        def outputs(found):
            cells = [(PrimitiveCell(crystal, "aP"), bond_graph(crystal)) for crystal in found]
            return predict(model, cell_tensors(cells).to("cpu", torch.float64))

        spread = float(outputs(crystals).std())
        return largest_changes(outputs, crystals, steps=[1e-4], n=1)[:, 0] * 1e-4 / spread

    jumping, fading = changes(), changes(fade_area=0.3, fade_length=0.5)
    assert fading.max() < 1e-3
    assert fading.max() < 0.1 * jumping.max()
