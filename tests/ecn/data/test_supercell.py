"""The supercell by integers against the supercell by geometry."""

from collections import Counter

import numpy as np
import pytest
import torch

from ecn.data.supercell import cell_graph, edge_colours, node_colours
from ecn.data.tensors import cell_tensors
from ecn.symmetry.groups import cell_offsets
from ecn.symmetry.sharing import cell_pattern
from ecn.testing import random_batch
from mpclean.crystal.bonding import bond_graph
from mpclean.crystal.bravais import BRAVAIS_TYPES
from mpclean.crystal.cells import PrimitiveCell
from mpclean.crystal.crystal import Crystal

#: A triclinic cell of three atoms.
CRYSTAL = Crystal(
    np.array([[3.1, 0.2, 0.1], [0.4, 3.6, 0.3], [-0.5, 0.6, 4.2]]),
    np.array([11, 17, 35], np.uint8),
    np.array([[0.02, 0.05, 0.03], [0.52, 0.44, 0.55], [0.1, 0.6, 0.31]]),
)


def as_batch(crystal):
    tensors = cell_tensors([(PrimitiveCell(crystal, "aP"), bond_graph(crystal))])
    return tensors.batch(torch.tensor([0]))


def colours(group, m=2):
    return edge_colours([cell_pattern(group, m)])


@pytest.mark.parametrize("m", [1, 2, 3])
def test_edges_are_those_of_the_tessellated_supercell(m):
    n, n_cells = len(CRYSTAL), m**3
    atoms = np.repeat(np.arange(n), n_cells)
    supercell = Crystal(
        float(m) * CRYSTAL.lattice,
        CRYSTAL.atomic_numbers[atoms],
        (CRYSTAL.frac_coords[atoms] + np.tile(cell_offsets(m), (n, 1))) / m,
    )
    expected = bond_graph(supercell)
    graph = cell_graph(as_batch(CRYSTAL), colours("S8", m), side=m, quotient=False)
    length = graph.length.repeat_interleave(n_cells)
    found = Counter(
        (s, t, round(d, 4))
        for s, t, d in zip(graph.source.tolist(), graph.target.tolist(), length.tolist(), strict=True)
        if d > 0
    )
    geometric = zip(expected.source.tolist(), expected.target.tolist(), expected.length.tolist(), strict=True)
    assert found == Counter((s, t, round(float(np.float32(d)), 4)) for s, t, d in geometric)
    assert sum(found.values()) > 12 * n_cells


@pytest.mark.parametrize("quotient", [False, True])
def test_every_node_has_one_self_loop(quotient):
    batch = random_batch()
    graph = cell_graph(batch, colours("aP"), quotient=quotient)
    loops = graph.length.repeat_interleave(graph.copies) == 0
    assert torch.equal(graph.source[loops], graph.target[loops])
    assert graph.source[loops].sort().values.tolist() == list(range(batch.n_atoms * graph.copies))


@pytest.mark.parametrize(("group", "m"), [("S8", 2), ("aP", 2), ("hP", 2), ("cF", 2), ("aP", 3)])
def test_edges_lie_by_colour_and_identity(group, m):
    pattern, n_cells = cell_pattern(group, m), m**3
    graph = cell_graph(random_batch(), colours(group, m), side=m, quotient=False)
    cells = torch.from_numpy(pattern.matrix())[graph.source % n_cells, graph.target % n_cells]
    expected = 2 * cells + (graph.source // n_cells != graph.target // n_cells)
    found = torch.cat(
        [
            torch.full((graph.copies * (stop - start),), colour)
            for colour, (start, stop) in enumerate(zip(graph.bounds[:-1], graph.bounds[1:], strict=True))
        ]
    )
    assert torch.equal(found, expected)
    assert len(found.unique()) > 3


def test_every_crystal_has_the_colours_of_its_own_lattice():
    patterns = [cell_pattern(name) for name in BRAVAIS_TYPES]
    batch = random_batch()
    graph = cell_graph(batch, edge_colours(patterns), quotient=True)
    first = 2 * np.cumsum([0, *(p.n_colours for p in patterns)])
    for colour in range(first[-1]):
        edges = graph.edges(graph.places(colour, colour + 1))
        lattices = batch.bravais_lattice[batch.crystal[graph.target[edges]]]
        assert (lattices == np.searchsorted(first, colour, side="right") - 1).all()
    assert len(graph.source) == len(batch.edge_source) + batch.n_atoms


def test_under_all_permutations_a_node_is_itself_or_another():
    graph = cell_graph(random_batch(), node_colours(2), quotient=False)
    loops = graph.edges(graph.places(0, 1))
    others = graph.edges(graph.places(1, 2))
    assert torch.equal(graph.source[loops], graph.target[loops])
    assert (graph.source[others] != graph.target[others]).all()
    assert graph.length[graph.places(0, 1)].max() > 0  # an even image of an atom is the atom itself


def test_the_quotient_has_an_edge_for_every_bond_and_atom():
    batch = random_batch()
    graph = cell_graph(batch, colours("S8"), quotient=True)
    assert len(graph.source) == len(batch.edge_source) + batch.n_atoms
    pairs = Counter(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    bonds = zip(batch.edge_source.tolist(), batch.edge_target.tolist(), strict=True)
    assert pairs == Counter(bonds) + Counter((a, a) for a in range(batch.n_atoms))
