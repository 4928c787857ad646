"""Drawings of crystals: what is in them, and how they stand."""

import numpy as np

from mpclean.crystal.crystal import Crystal
from mpclean.inspection.report import crystals
from mpclean.inspection.report.scene import cut_out


def draw(crystal):
    return crystals.draw(cut_out(crystal))


ROCK_SALT = Crystal(
    2.82 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]),
    np.array([11, 17], dtype=np.uint8),
    np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
)


def test_a_drawing_has_the_atoms_of_a_cube():
    figure = draw(ROCK_SALT)
    block, key = figure.axes
    drawn = sum(len(c.get_offsets()) for c in block.collections if type(c).__name__ == "EllipseCollection")
    assert drawn == len(cut_out(ROCK_SALT).places)
    assert [text.get_text() for text in key.texts] == ["Na", "Cl"]


def test_no_bonds_no_lines():
    """Of an element without a covalent radius no bond is known; the atoms are drawn all the same."""
    figure = draw(Crystal(3.0 * np.eye(3), np.array([118], dtype=np.uint8), np.zeros((1, 3))))
    lines = [c for c in figure.axes[0].collections if type(c).__name__ == "LineCollection"]
    assert not any(len(collection.get_segments()) for collection in lines)
    assert [text.get_text() for text in figure.axes[1].texts] == ["Og"]


def test_any_cell_can_be_drawn():
    """Thin, tiny, huge and skew ones, as a rule may have excluded."""
    for lattice in (
        np.diag([2.0, 2.0, 3000.0]),
        0.05 * np.eye(3),
        300.0 * np.eye(3),
        np.array([[1.0, 0.0, 0.0], [2000.0, 1.0, 0.0], [0.0, 3000.0, 1.0]]),
    ):
        assert len(draw(Crystal(lattice, np.array([29], dtype=np.uint8), np.zeros((1, 3)))).axes) == 2
