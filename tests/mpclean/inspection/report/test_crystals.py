"""Drawings of crystals: what is in them, and how they stand."""

import numpy as np
import pytest

from mpclean.crystal.bonding import bond_graph
from mpclean.crystal.crystal import Crystal
from mpclean.inspection.report import crystals
from mpclean.inspection.report.crystals import draw

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
    atom, cell, place = crystals._around(ROCK_SALT, size, np.full(3, 0.5))
    radius = 0.5 * np.sqrt(3) * size + 0.1
    grid = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    every = ((ROCK_SALT.frac_coords - 0.5)[:, None] + grid) @ ROCK_SALT.lattice
    assert len(atom) == np.count_nonzero(np.linalg.norm(every, axis=2) <= radius)
    np.testing.assert_allclose(place, (ROCK_SALT.frac_coords[atom] + cell - 0.5) @ ROCK_SALT.lattice)


def test_bonds_join_what_is_a_bond_apart():
    atom, cell, place = crystals._around(ROCK_SALT, 9.0, np.full(3, 0.5))
    ends = crystals._bonded(atom, cell, bond_graph(ROCK_SALT))
    length = np.linalg.norm(place[ends[:, 0]] - place[ends[:, 1]], axis=1)
    np.testing.assert_allclose(length, 2.82)
    assert np.all(atom[ends[:, 0]] != atom[ends[:, 1]])
    near = np.linalg.norm(place[:, None] - place, axis=2)
    assert len(ends) == np.count_nonzero(np.triu(np.abs(near - 2.82) < 1e-6))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_layers_lie_flat(axis):
    crystal = graphite(axis)
    atom, cell, place = crystals._around(crystal, 10.0, np.full(3, 0.5))
    upright = crystals._upright(crystal.lattice, place, crystals._bonded(atom, cell, bond_graph(crystal)))
    np.testing.assert_allclose(upright @ upright.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(upright[1], crystal.lattice[axis] / 6.7, atol=1e-6)


def test_a_drawing_has_the_atoms_of_a_cube():
    figure = draw(ROCK_SALT)
    block, key = figure.axes
    drawn = sum(len(c.get_offsets()) for c in block.collections if type(c).__name__ == "EllipseCollection")
    volume_of_an_atom = ROCK_SALT.volume / 2
    assert drawn == pytest.approx(crystals._block_size(ROCK_SALT) ** 3 / volume_of_an_atom, rel=0.5)
    assert [text.get_text() for text in key.texts] == ["Na", "Cl"]


def test_no_bonds_no_lines():
    """Of an element without a covalent radius no bond is known; the atoms are drawn all the same."""
    figure = draw(Crystal(3.0 * np.eye(3), np.array([118], dtype=np.uint8), np.zeros((1, 3))))
    lines = [c for c in figure.axes[0].collections if type(c).__name__ == "LineCollection"]
    assert not any(len(collection.get_segments()) for collection in lines)
    assert [text.get_text() for text in figure.axes[1].texts] == ["Og"]


def test_any_cell_can_be_drawn():
    """Thin, tiny, huge and skew ones, as a rule may have dropped."""
    for lattice in (
        np.diag([2.0, 2.0, 3000.0]),
        0.05 * np.eye(3),
        300.0 * np.eye(3),
        np.array([[1.0, 0.0, 0.0], [2000.0, 1.0, 0.0], [0.0, 3000.0, 1.0]]),
    ):
        assert len(draw(Crystal(lattice, np.array([29], dtype=np.uint8), np.zeros((1, 3)))).axes) == 2
