"""The supercell by integers against the supercell by geometry."""

from collections import Counter

import numpy as np
import pytest
import torch

from ecn.batch import CrystalBatch
from ecn.groups import cell_offsets
from ecn.sharing import cell_pattern
from ecn.supercell import N_CELLS, cell_graph
from ecn.testing import random_batch
from mpclean.bonding import bond_graph
from mpclean.crystal import Crystal

#: A triclinic cell of three atoms.
CRYSTAL = Crystal(
    np.array([[3.1, 0.2, 0.1], [0.4, 3.6, 0.3], [-0.5, 0.6, 4.2]]),
    np.array([11, 17, 35], np.uint8),
    np.array([[0.02, 0.05, 0.03], [0.52, 0.44, 0.55], [0.1, 0.6, 0.31]]),
)


def as_batch(crystal):
    graph = bond_graph(crystal)
    return CrystalBatch(
        atomic_numbers=torch.from_numpy(crystal.atomic_numbers.astype(np.int64)),
        crystal=torch.zeros(len(crystal), dtype=torch.int64),
        edge_source=torch.from_numpy(graph.source),
        edge_target=torch.from_numpy(graph.target),
        edge_image=torch.from_numpy(graph.image.astype(np.int8)),
        edge_length=torch.from_numpy(graph.length.astype(np.float32)),
        n_crystals=1,
    )


def test_edges_are_those_of_the_tessellated_supercell():
    offsets = cell_offsets()
    n = len(CRYSTAL)
    atoms = np.repeat(np.arange(n), N_CELLS)
    supercell = Crystal(
        2.0 * CRYSTAL.lattice,
        CRYSTAL.atomic_numbers[atoms],
        (CRYSTAL.frac_coords[atoms] + np.tile(offsets, (n, 1))) / 2.0,
    )
    expected = bond_graph(supercell)
    graph = cell_graph(as_batch(CRYSTAL), cell_pattern("S8"), quotient=False)
    length = graph.length.repeat_interleave(N_CELLS)
    found = Counter(
        (s, t, round(d, 4))
        for s, t, d in zip(graph.source.tolist(), graph.target.tolist(), length.tolist(), strict=True)
        if d > 0
    )
    geometric = zip(expected.source.tolist(), expected.target.tolist(), expected.length.tolist(), strict=True)
    assert found == Counter((s, t, round(float(np.float32(d)), 4)) for s, t, d in geometric)
    assert sum(found.values()) > 100


@pytest.mark.parametrize("quotient", [False, True])
def test_every_node_has_one_self_loop(quotient):
    batch = random_batch()
    graph = cell_graph(batch, cell_pattern("aP"), quotient=quotient)
    loops = graph.length.repeat_interleave(graph.copies) == 0
    assert torch.equal(graph.source[loops], graph.target[loops])
    assert graph.source[loops].sort().values.tolist() == list(range(batch.n_atoms * graph.copies))


@pytest.mark.parametrize("group", ["S8", "aP", "hP", "cF"])
def test_edges_lie_by_colour_and_identity(group):
    pattern = cell_pattern(group)
    graph = cell_graph(random_batch(), pattern, quotient=False)
    colour = pattern.colours[(graph.source % N_CELLS) ^ (graph.target % N_CELLS)]
    same = graph.source // N_CELLS == graph.target // N_CELLS
    covered = 0
    for same_atom in (True, False):
        for d, bonds in graph.segments(same_atom=same_atom):
            edges = slice(graph.copies * bonds.start, graph.copies * bonds.stop)
            assert (colour[edges] == d).all()
            assert same[edges].all() or not same_atom
            covered += int(same[edges].sum()) if same_atom else len(colour[edges])
    assert covered == len(colour) + int(same.sum())


def test_the_quotient_has_an_edge_for_every_bond_and_atom():
    batch = random_batch()
    graph = cell_graph(batch, cell_pattern("S8"), quotient=True)
    assert len(graph.source) == len(batch.edge_source) + batch.n_atoms
    pairs = Counter(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    bonds = zip(batch.edge_source.tolist(), batch.edge_target.tolist(), strict=True)
    assert pairs == Counter(bonds) + Counter((a, a) for a in range(batch.n_atoms))
