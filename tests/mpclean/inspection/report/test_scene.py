"""What is cut out of a crystal, and how it stands."""

import json

import numpy as np
import pytest

from mpclean.crystal.bonding import bond_graph
from mpclean.crystal.crystal import Crystal
from mpclean.inspection.report import scene
from mpclean.inspection.report.scene import cut_out

ROCK_SALT = Crystal(
    2.82 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]),
    np.array([11, 17], dtype=np.uint8),
    np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
)


def graphite(axis):
    """Layers whose normal is this cell vector."""
    lattice = np.roll(np.array([[2.46, 0.0, 0.0], [-1.23, 2.1304, 0.0], [0.0, 0.0, 6.7]]), axis - 2, axis=0)
    coords = np.array([[0, 0, 0.25], [0, 0, 0.75], [1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]])
    return Crystal(lattice, np.full(4, 6, dtype=np.uint8), np.roll(coords, axis - 2, axis=1))


@pytest.mark.parametrize("size", [4.0, 9.0, 14.0])
def test_everything_near_is_found(size):
    atom, cell, place = scene._around(ROCK_SALT, size, np.full(3, 0.5))
    radius = 0.5 * np.sqrt(3) * size + 0.1
    grid = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    every = ((ROCK_SALT.frac_coords - 0.5)[:, None] + grid) @ ROCK_SALT.lattice
    assert len(atom) == np.count_nonzero(np.linalg.norm(every, axis=2) <= radius)
    np.testing.assert_allclose(place, (ROCK_SALT.frac_coords[atom] + cell - 0.5) @ ROCK_SALT.lattice)


def test_bonds_join_what_is_a_bond_apart():
    atom, cell, place = scene._around(ROCK_SALT, 9.0, np.full(3, 0.5))
    ends = scene._bonded(atom, cell, bond_graph(ROCK_SALT))
    length = np.linalg.norm(place[ends[:, 0]] - place[ends[:, 1]], axis=1)
    np.testing.assert_allclose(length, 2.82)
    assert np.all(atom[ends[:, 0]] != atom[ends[:, 1]])
    near = np.linalg.norm(place[:, None] - place, axis=2)
    assert len(ends) == np.count_nonzero(np.triu(np.abs(near - 2.82) < 1e-6))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_layers_lie_flat(axis):
    crystal = graphite(axis)
    atom, cell, place = scene._around(crystal, 10.0, np.full(3, 0.5))
    upright = scene._upright(crystal.lattice, place, scene._bonded(atom, cell, bond_graph(crystal)))
    np.testing.assert_allclose(upright @ upright.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(upright[1], crystal.lattice[axis] / 6.7, atol=1e-6)


def test_a_scene_has_the_atoms_of_a_cube():
    shown = cut_out(ROCK_SALT)
    volume_of_an_atom = ROCK_SALT.volume / 2
    n_atoms = scene._block_size(ROCK_SALT) ** 3 / volume_of_an_atom
    assert len(shown.places) == pytest.approx(n_atoms, rel=0.5)
    lengths = np.linalg.norm(shown.places[shown.bonds[:, 0]] - shown.places[shown.bonds[:, 1]], axis=1)
    np.testing.assert_allclose(lengths, 2.82)


def test_the_page_gets_the_whole_scene():
    shown = cut_out(ROCK_SALT)
    told = json.loads(shown.to_json())
    assert [symbol for symbol, _, _ in told["elements"]] == ["Na", "Cl"]
    assert [told["elements"][k][0] for k in told["element"]] == [
        {11: "Na", 17: "Cl"}[z] for z in shown.atomic_numbers.tolist()
    ]
    np.testing.assert_allclose(told["places"], shown.places, atol=0.005 + 1e-9)
    assert told["bonds"] == shown.bonds.tolist()
    corners = np.array(told["corners"])
    edges = [np.linalg.norm(corners[i] - corners[j]) for i, j in told["edges"]]
    np.testing.assert_allclose(edges, np.full(12, 2.82 * np.sqrt(2)), atol=0.02)
