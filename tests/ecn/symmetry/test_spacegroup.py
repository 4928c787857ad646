"""Space groups as permutations of atoms: the group, and what it leaves as it is."""

import numpy as np
import pytest

from ecn.symmetry.groups import cell_offsets, group_elements
from ecn.symmetry.sharing import orbits
from ecn.symmetry.spacegroup import PROTOTYPES, site_pattern, space_group_permutations
from mpclean.crystal.crystal import Crystal

F_BASIS = 0.5 * np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])

CRYSTALS = {
    "perovskite": PROTOTYPES["perovskite"],
    "diamond": Crystal(3.57 * F_BASIS, np.array([6, 6], np.uint8), np.array([[0.0] * 3, [0.25] * 3])),
    "zincblende": Crystal(5.4 * F_BASIS, np.array([30, 16], np.uint8), np.array([[0.1] * 3, [0.35] * 3])),
    "triclinic": Crystal(
        np.array([[3.1, 0.2, 0.1], [0.4, 3.6, 0.3], [-0.5, 0.6, 4.2]]),
        np.array([11, 17, 35], np.uint8),
        np.array([[0.02, 0.05, 0.03], [0.52, 0.44, 0.55], [0.1, 0.6, 0.31]]),
    ),
}

#: Operations in a primitive cell, and orbits of its atoms.
KNOWN = {"perovskite": (48, 3), "diamond": (48, 1), "zincblende": (24, 2), "triclinic": (1, 3)}


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("m", [2, 3])
def test_every_operation_is_a_permutation_and_an_isometry_of_the_torus(name, m):
    crystal = CRYSTALS[name]
    n = len(crystal)
    nodes = space_group_permutations(crystal, m)
    assert len(nodes) == 3 + KNOWN[name][0]
    assert len(np.unique(orbits(nodes, m**3 * n))) == KNOWN[name][1]

    x = (np.repeat(crystal.frac_coords, m**3, axis=0) + np.tile(cell_offsets(m), (n, 1))) / m
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    gap = (x[:, None] - x[None])[:, :, None] + images
    distance = np.linalg.norm(gap @ (m * crystal.lattice), axis=-1).min(axis=2)
    elements = np.repeat(crystal.atomic_numbers, m**3)
    for g in nodes:
        assert np.array_equal(np.sort(g), np.arange(len(x)))
        assert np.array_equal(elements[g], elements)
        assert np.allclose(distance[g][:, g], distance, atol=1e-6)


def test_the_order_of_a_group_on_its_supercell():
    """Translations of the torus times the operations in a cell: diamond on 2 x 2 x 2 cells."""
    assert len(group_elements(space_group_permutations(CRYSTALS["diamond"]))) == 8 * 48


def test_the_pattern_of_the_perovskite():
    """Three kinds of sites, and edges that know which kinds they join."""
    pattern = site_pattern("perovskite")
    assert pattern.site_colours.tolist() == [0, 1, 2, 2, 2]
    kinds = {}
    for (_, a, b), colour in np.ndenumerate(pattern.edge_colours):
        kinds.setdefault(int(colour), set()).add((pattern.site_colours[a], pattern.site_colours[b]))
    assert all(len(joined) == 1 for joined in kinds.values())
    assert len(kinds) == 28
    # Each A among themselves: the four differences of a primitive cubic lattice.
    assert len(np.unique(pattern.edge_colours[:, 0, 0])) == 4


def test_an_unknown_prototype_is_named():
    with pytest.raises(ValueError, match="unknown prototype 'spinel'; known: perovskite"):
        site_pattern("spinel")
