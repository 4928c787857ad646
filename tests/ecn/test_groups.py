"""The groups of the cells, by the axioms and by their orders."""

import numpy as np
import pytest

from ecn.groups import GROUPS, cell_group, cell_index, cell_offsets, point_permutations, translations
from mpclean.bravais import BRAVAIS_TYPES

#: Orders of the images on 8 cells: translations times the point group mod 2.
ORDERS = {
    "aP": 8,
    "mP": 8,
    "oP": 8,
    "mC": 16,
    "oC": 16,
    "tP": 16,
    "oI": 32,
    "oF": 32,
    "tI": 64,
    "hR": 48,
    "hP": 48,
    "cP": 48,
    "cI": 192,
    "cF": 192,
    "P1bar": 8,
}


def closure(generators):
    members = {tuple(range(8))}
    frontier = members
    while frontier:
        frontier = {tuple(int(g[c]) for c in p) for p in frontier for g in generators} - members
        members = members | frontier
    return members


@pytest.mark.parametrize("m", [1, 2, 3])
def test_cells_are_numbered_by_their_coordinates(m):
    assert np.array_equal(cell_index(cell_offsets(m), m), np.arange(m**3))


def test_a_cell_is_a_bit_code():
    assert cell_index(np.array([1, 0, 1])) == 5
    assert cell_index(np.array([-1, 2, 3])) == 5


@pytest.mark.parametrize("m", [2, 3])
def test_translations_act_freely_and_commute(m):
    a, b, c = translations(m)
    assert not (a == np.arange(m**3)).any()
    assert np.array_equal(a[b[c]], c[b[a]])


@pytest.mark.parametrize("name", BRAVAIS_TYPES)
@pytest.mark.parametrize("m", [2, 3])
def test_point_operations_normalise_the_translations(name, m):
    steps = {tuple(p) for p in _products(translations(m))}
    for g in point_permutations(name, m):
        assert g[0] == 0
        for t in translations(m):
            conjugate = g[t[np.argsort(g)]]
            assert tuple(conjugate) in steps


def _products(generators):
    n = len(generators[0])
    members = {tuple(range(n))}
    while True:
        more = members | {tuple(int(g[c]) for c in p) for p in members for g in generators}
        if more == members:
            return members
        members = more


@pytest.mark.parametrize("name", ORDERS)
def test_order_on_the_cells(name):
    assert len(closure(cell_group(name))) == ORDERS[name]


def test_s8_holds_all_permutations():
    assert len(closure(cell_group("S8"))) == 40320


def test_the_groups_form_the_hierarchy_of_the_paper():
    lattices = [closure(cell_group(name)) for name in BRAVAIS_TYPES]
    triclinic = closure(cell_group("P1bar"))
    assert all(triclinic <= group for group in lattices)


def test_an_unknown_group_is_named():
    with pytest.raises(ValueError, match="unknown group 'Q8'; known: S8, P1bar, aP"):
        cell_group("Q8")


def test_every_named_group_acts_on_the_cells():
    for name in GROUPS:
        for g in cell_group(name):
            assert np.array_equal(np.sort(g), np.arange(8))
