"""Orbits, colours of pairs, the product rule, and the table of patterns."""

import numpy as np
import pytest

from ecn.groups import GROUPS, cell_group
from ecn.sharing import cell_pattern, intersection_numbers, orbits, pair_orbits, product_colours

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


@pytest.mark.parametrize("name", GROUPS)
def test_intersection_numbers_count_the_slots(name):
    pattern = cell_pattern(name)
    for c_i in range(8):
        for c_j in range(8):
            expected = np.zeros_like(pattern.intersections[0])
            for k in range(8):
                expected[pattern.colours[k ^ c_j], pattern.colours[k ^ c_i]] += 1
            d = pattern.colours[c_i ^ c_j]
            assert np.array_equal(pattern.intersections[d], expected)


def test_intersection_numbers_of_s8_are_the_closed_form():
    same, other = cell_pattern("S8").intersections
    assert same.tolist() == [[1, 0], [0, 7]]
    assert other.tolist() == [[0, 1], [1, 6]]


def test_intersection_numbers_of_the_triclinic_lattice_are_the_closed_form():
    d, s, t = np.indices((8, 8, 8))
    assert np.array_equal(cell_pattern("aP").intersections, t == (s ^ d))


def test_a_partition_that_is_no_orbit_pattern_is_refused():
    with pytest.raises(ValueError, match="not the orbits of a group"):
        intersection_numbers(np.array([0, 1, 1, 1, 1, 1, 2, 2]))
