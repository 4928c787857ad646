"""Invariant numbers, equivariant vectors, and the same colours as the network without them."""

import numpy as np
import pytest
import torch

from ecn.data.tensors import cell_tensors
from ecn.models.e3ecn import E3ECN, displacements
from ecn.models.ecn import ECNConfig
from ecn.symmetry.groups import cell_group
from ecn.symmetry.sharing import cell_pattern
from ecn.testing import colour_under, node_permutation, permute_nodes, permuted_graph
from mpclean.crystal.bonding import bond_graph
from mpclean.crystal.cells import PrimitiveCell
from mpclean.crystal.crystal import Crystal

CRYSTALS = (
    Crystal(
        np.array([[3.1, 0.2, 0.1], [0.4, 3.6, 0.3], [-0.5, 0.6, 4.2]]),
        np.array([11, 17, 35], np.uint8),
        np.array([[0.02, 0.05, 0.03], [0.52, 0.44, 0.55], [0.1, 0.6, 0.31]]),
    ),
    Crystal(np.diag([3.9, 4.0, 4.2]), np.array([20, 8], np.uint8), np.array([[0.1] * 3, [0.57] * 3])),
)


def batch_of(crystals=CRYSTALS):
    cells = [(PrimitiveCell(crystal, "aP"), bond_graph(crystal)) for crystal in crystals]
    batch = cell_tensors(cells).batch(torch.arange(len(crystals)))
    exact = {
        "lattice": np.stack([crystal.lattice for crystal in crystals]),
        "frac_coords": np.concatenate([crystal.frac_coords for crystal in crystals]),
        "edge_length": np.concatenate([graph.length for _, graph in cells]),
    }
    return batch._replace(**{name: torch.from_numpy(value) for name, value in exact.items()})


def small(**options):
    torch.manual_seed(0)
    return E3ECN(ECNConfig(width=12, n_layers=3, **options)).double()


def orthogonal(seed, sign):
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    rotation *= sign * np.linalg.det(rotation)
    return rotation


def test_displacements_have_the_lengths_of_the_bonds():
    batch = batch_of()
    torch.testing.assert_close(displacements(batch).norm(dim=1), batch.edge_length)


@pytest.mark.parametrize("options", [{}, {"symmetry_breaking": False}, {"group": "lattice"}], ids=str)
@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
@pytest.mark.parametrize("seed", range(3))
def test_scalars_are_invariant_and_vectors_turn_with_the_crystal(options, sign, seed):
    turn = orthogonal(seed, sign)
    assert np.isclose(np.linalg.det(turn), sign)
    turned = [Crystal(c.lattice @ turn, c.atomic_numbers, c.frac_coords) for c in CRYSTALS]
    model, batch = small(**options), batch_of()
    # The same bonds in the same order: their search is not what is tested here.
    other = batch._replace(lattice=batch_of(turned).lattice)
    torch.testing.assert_close(model(other), model(batch), rtol=0, atol=1e-10)
    moves = model.moves(batch)
    assert moves.norm(dim=1).max() > 1e-4
    torch.testing.assert_close(model.moves(other), moves @ torch.from_numpy(turn), rtol=0, atol=1e-10)


def test_translations_change_nothing():
    model, batch = small(), batch_of()
    shift = torch.tensor([[0.3, -0.2, 0.15], [0.05, 0.4, -0.3]], dtype=torch.float64)
    other = batch._replace(frac_coords=batch.frac_coords + shift[batch.crystal])
    torch.testing.assert_close(model(other), model(batch), rtol=0, atol=1e-10)
    torch.testing.assert_close(model.moves(other), model.moves(batch), rtol=0, atol=1e-10)


def test_a_strain_at_equal_bond_lengths_is_seen():
    """What the network without vectors cannot see: equal lengths, other positions."""
    model, batch = small(), batch_of()
    lattice = batch.lattice.clone()
    lattice[:, 0, 1] += 0.2
    assert (model(batch._replace(lattice=lattice)) - model(batch)).abs().min() > 1e-6


@pytest.mark.parametrize("group", ["S8", "aP", "cF"])
def test_permutations_of_the_cells_act_on_nodes_and_edges_together(group):
    model, batch = small(group=group), batch_of()
    pattern = cell_pattern(group)
    graph, h = model.graph(batch, quotient=False), model.embed(batch)
    expected, _ = model._pass(h, graph, batch)
    for g in cell_group(group):
        on_nodes = node_permutation(g, batch.n_atoms)
        image, _ = permuted_graph(graph, on_nodes, colour_under(pattern))
        found, _ = model._pass(permute_nodes(h, on_nodes), image, batch)
        torch.testing.assert_close(found, permute_nodes(expected, on_nodes), rtol=0, atol=1e-10)


def test_all_permutations_of_nodes_have_no_cells():
    with pytest.raises(ValueError, match="group S8n has no colours of cells"):
        small(group="S8n")


@pytest.mark.parametrize("options", [{"envelope": 5.0}, {"fade_area": 0.1}, {"fade_length": 0.5}], ids=str)
def test_edges_by_which_atoms_move_do_not_fade(options):
    with pytest.raises(ValueError, match="leave envelope, fade_area and fade_length null"):
        small(**options)
