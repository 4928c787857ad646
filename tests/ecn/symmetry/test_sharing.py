"""Orbits, colours of pairs, the product rule, and the table of patterns."""

import numpy as np
import pytest

from ecn.symmetry.groups import (
    GROUPS,
    PLANE_POINT_GROUPS,
    cell_group,
    group_elements,
    point_permutations,
    regular_action,
    symmetric_group,
    translations,
)
from ecn.symmetry.sharing import (
    cell_differences,
    cell_pattern,
    intersection_numbers,
    orbits,
    pair_orbits,
    product_colours,
    refines,
    tie,
)
from mpclean.crystal.bravais import BRAVAIS_TYPES, point_group

#: Orbits of the differences of two cells, in binary b1 b2 b3.
ORBITS = {
    "aP": "000/001/010/011/100/101/110/111",
    "P1bar": "000/001/010/011/100/101/110/111",
    "mP": "000/001/010/011/100/101/110/111",
    "oP": "000/001/010/011/100/101/110/111",
    "mC": "000/001/110/111/010,100/011,101",
    "oC": "000/001/110/111/010,100/011,101",
    "tP": "000/001/110/111/010,100/011,101",
    "oI": "000/011/101/110/001,010,100,111",
    "oF": "000/111/001,110/010,101/011,100",
    "tI": "000/011/101,110/001,010,100,111",
    "hR": "000/111/001,010,100/011,101,110",
    "hP": "000/001/010,100,110/011,101,111",
    "cP": "000/111/001,010,100/011,101,110",
    "cI": "000/011,101,110/001,010,100,111",
    "cF": "000/111/001,010,011,100,101,110",
    "S8": "000/001,010,011,100,101,110,111",
}


def as_sets(colours):
    return {frozenset(np.flatnonzero(colours == c).tolist()) for c in np.unique(colours)}


def all_pairs(n):
    return np.stack([np.repeat(np.arange(n), n), np.tile(np.arange(n), n)], axis=1)


@pytest.mark.parametrize("name", GROUPS)
def test_orbit_table(name):
    table = {frozenset(int(d, 2) for d in orbit.split(",")) for orbit in ORBITS[name].split("/")}
    assert as_sets(cell_pattern(name).colours) == table


@pytest.mark.parametrize("name", GROUPS[1:])
@pytest.mark.parametrize("m", [2, 3])
def test_orbits_of_pairs_are_those_of_differences_under_the_point_group(name, m):
    """The closed rule: with all translations, only the point group acts on differences."""
    closed = orbits(point_permutations("aP" if name == "P1bar" else name, m), m**3)
    assert as_sets(cell_pattern(name, m).colours) == as_sets(closed)


@pytest.mark.parametrize("name", BRAVAIS_TYPES)
def test_orbits_by_every_matrix_of_the_point_group(name):
    """The same from all operations W d mod 2, one by one."""
    bits = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), axis=1)
    images = np.mod(np.einsum("gij,dj->gdi", point_group(name), bits), 2) @ [4, 2, 1]
    assert as_sets(cell_pattern(name).colours) == {frozenset(images[:, d].tolist()) for d in range(8)}


#: Orbits of the differences of two cells of the 2 x 2 supercell of a plane lattice.
PLANE_ORBITS = {
    "mp": "00/01/10/11",
    "op": "00/01/10/11",
    "oc": "00/11/01,10",
    "tp": "00/11/01,10",
    "hp": "00/01,10,11",
}


@pytest.mark.parametrize("name", PLANE_POINT_GROUPS)
def test_orbit_table_of_the_plane(name):
    table = {frozenset(int(d, 2) for d in orbit.split(",")) for orbit in PLANE_ORBITS[name].split("/")}
    assert as_sets(cell_pattern(name).colours) == table


def test_the_hexagonal_pattern_of_four_cells_collapses_to_the_symmetric_group():
    """A.3: and the group acting on itself is the cure."""
    n = 4
    symmetric = pair_orbits(symmetric_group(n), all_pairs(n))
    hexagonal = cell_pattern("hp").matrix().ravel()
    assert refines(symmetric, hexagonal)
    assert not refines(symmetric, cell_pattern("tp").matrix().ravel())
    assert not refines(pair_orbits(symmetric_group(9), all_pairs(9)), cell_pattern("hp", 3).matrix().ravel())
    lifted = regular_action(cell_group("hp"))
    order = len(group_elements(cell_group("hp")))
    assert len(np.unique(pair_orbits(lifted, all_pairs(order)))) == order == 24


@pytest.mark.parametrize("name", BRAVAIS_TYPES)
@pytest.mark.parametrize("m", [2, 3])
def test_patterns_form_the_hierarchy_of_the_paper(name, m):
    lattice = cell_pattern(name, m).colours
    assert refines(cell_pattern("P1bar", m).colours, lattice)
    assert refines(lattice, cell_pattern("S8", m).colours)


def test_translations_alone_give_a_circular_pattern():
    """On a ring of m cells the colours are the differences: a circulant matrix."""
    colours = pair_orbits(translations(5, 1), all_pairs(5)).reshape(5, 5)
    assert np.array_equal(colours, cell_differences(5, 1))


def test_weights_are_tied_by_their_means():
    average = tie(cell_pattern("cF"), cell_pattern("P1bar"))
    assert average[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert np.allclose(average[1], [0, *6 * [1 / 6], 0])
    assert average[2].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    once = average[cell_pattern("cF").colours]
    assert np.allclose(once @ once, once)  # a projection


def test_weights_cannot_be_tied_the_other_way():
    with pytest.raises(ValueError, match="the pattern of cF does not refine that of P1bar"):
        tie(cell_pattern("P1bar"), cell_pattern("cF"))


def test_orbits_are_numbered_by_their_smallest_members():
    swap = np.array([0, 3, 2, 1, 4])
    assert orbits([swap], 5).tolist() == [0, 1, 2, 1, 3]


def test_without_generators_every_point_is_an_orbit():
    assert orbits([], 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_orbits_of_long_cycles(seed):
    n = 1000
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, size=n)
    cycle = np.arange(n)
    for k in range(7):  # one cycle through the members of each label, in random order
        members = rng.permutation(np.flatnonzero(labels == k))
        cycle[members] = np.roll(members, 1)
    assert as_sets(orbits([cycle], n)) == as_sets(labels)


def test_what_is_no_permutation_is_refused():
    with pytest.raises(ValueError, match="no permutation of 3 points"):
        orbits([np.array([0, 0, 2])], 3)


def test_pairs_of_a_cycle_are_coloured_by_their_distance():
    colour = pair_orbits([np.roll(np.arange(5), -1)], all_pairs(5)).reshape(5, 5)
    distance = (np.arange(5)[None] - np.arange(5)[:, None]) % 5
    assert as_sets(colour.ravel()) == as_sets(distance.ravel())


def test_edges_of_a_graph_that_the_group_preserves():
    ring = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [1, 0], [2, 1], [3, 2], [0, 3]])
    assert pair_orbits([np.roll(np.arange(4), -1)], ring).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_edges_that_the_group_does_not_preserve_are_refused():
    with pytest.raises(ValueError, match="sends a pair to one that is not listed"):
        pair_orbits([np.roll(np.arange(4), -1)], np.array([[0, 1], [1, 2], [2, 3]]))


@pytest.mark.parametrize("name", ["aP", "tI", "cF", "S8"])
def test_colours_of_a_product_are_pairs_of_colours(name):
    """Orbits of (cell group) x S_3 on 24 nodes against the product rule (eq. 13 and 14)."""
    atoms, cells = np.arange(3), np.arange(8)
    permutations = [np.array([1, 0, 2]), np.array([1, 2, 0])]
    on_nodes = [(8 * atoms[:, None] + g).ravel() for g in cell_group(name)]
    on_nodes += [(8 * p[:, None] + cells).ravel() for p in permutations]
    pairs = all_pairs(24)
    atom, cell = pairs // 8, pairs % 8
    cell_colour = cell_pattern(name).colours[cell[:, 0] ^ cell[:, 1]]
    expected = product_colours(cell_colour, (atom[:, 0] != atom[:, 1]).astype(int))
    assert as_sets(pair_orbits(on_nodes, pairs)) == as_sets(expected)


@pytest.mark.parametrize(("name", "m"), [*((name, 2) for name in GROUPS), ("aP", 3), ("hR", 3), ("tp", 4)])
def test_intersection_numbers_count_the_slots(name, m):
    pattern = cell_pattern(name, m)
    colour = pattern.matrix()
    for c_i in range(pattern.n_cells):
        for c_j in range(pattern.n_cells):
            expected = np.zeros_like(pattern.intersections[0])
            np.add.at(expected, (colour[c_j], colour[:, c_i]), 1)
            assert np.array_equal(pattern.intersections[colour[c_j, c_i]], expected)


def test_intersection_numbers_of_s8_are_the_closed_form():
    same, other = cell_pattern("S8").intersections
    assert same.tolist() == [[1, 0], [0, 7]]
    assert other.tolist() == [[0, 1], [1, 6]]


def test_intersection_numbers_of_the_triclinic_lattice_are_the_closed_form():
    d, s, t = np.indices((8, 8, 8))
    assert np.array_equal(cell_pattern("aP").intersections, t == (s ^ d))


def test_a_partition_that_is_no_orbit_pattern_is_refused():
    with pytest.raises(ValueError, match="not the orbits of a group"):
        intersection_numbers(np.array([0, 1, 1, 1, 1, 1, 2, 2]), cell_differences())
