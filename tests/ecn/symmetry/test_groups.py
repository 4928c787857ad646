"""The groups of the cells, by the axioms and by their orders."""

import numpy as np
import pytest

from ecn.symmetry.groups import (
    GROUPS,
    cell_group,
    cell_index,
    cell_offsets,
    group_elements,
    is_subgroup,
    point_permutations,
    regular_action,
    symmetric_group,
    translations,
)
from mpclean.crystal.bravais import BRAVAIS_TYPES, point_group

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


#: Holohedries of the plane: orders of the point groups, and of the images on 2 x 2 cells.
PLANE_ORDERS = {"mp": (2, 4), "op": (4, 4), "oc": (4, 8), "tp": (8, 8), "hp": (12, 24)}


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
    assert len(group_elements(cell_group(name))) == ORDERS[name]


@pytest.mark.parametrize("name", BRAVAIS_TYPES)
def test_order_on_the_cells_by_the_closed_rule(name):
    """Eight translations times the distinct point operations modulo 2."""
    modulo_2 = np.unique(np.mod(point_group(name), 2).reshape(-1, 9), axis=0)
    assert 8 * len(modulo_2) == ORDERS[name]


@pytest.mark.parametrize("name", PLANE_ORDERS)
def test_orders_in_the_plane(name):
    on_four_by_four = len(group_elements(point_permutations(name, 4)))  # no operation is trivial there
    assert (on_four_by_four, len(group_elements(cell_group(name)))) == PLANE_ORDERS[name]


def test_s8_holds_all_permutations():
    assert len(group_elements(cell_group("S8"))) == 40320


@pytest.mark.parametrize("name", ["aP", "tI", "hR", "cF", "hp"])
def test_elements_are_a_group(name):
    elements = group_elements(cell_group(name))
    listed = {tuple(g) for g in elements}
    assert np.array_equal(elements[0], np.arange(elements.shape[1]))
    assert len(listed) == len(elements)
    for g in elements:
        assert tuple(np.argsort(g)) in listed
        assert {tuple(g[h]) for h in elements} == listed


@pytest.mark.parametrize("name", BRAVAIS_TYPES)
def test_the_groups_form_the_hierarchy_of_the_paper(name):
    """Eq. 6: G_P1bar <= G_lattice <= S_8, and all of them on nodes within S_8n."""
    assert is_subgroup(cell_group("P1bar"), of=cell_group(name))
    assert is_subgroup(cell_group(name), of=cell_group("S8"))
    if name not in ("aP", "mP", "oP"):
        assert not is_subgroup(cell_group(name), of=cell_group("P1bar"))


@pytest.mark.parametrize("name", ["aP", "cF", "hp"])
def test_the_group_on_itself_moves_every_point(name):
    generators = cell_group(name)
    lifted = regular_action(generators)
    elements = group_elements(lifted)
    assert len(elements) == len(group_elements(generators)) == elements.shape[1]
    assert not (elements[1:] == elements[0]).any()


def test_the_symmetric_group_of_one_point_is_trivial():
    assert len(group_elements(symmetric_group(1))) == 1
    assert len(group_elements(symmetric_group(4))) == 24


def test_an_unknown_group_is_named():
    with pytest.raises(ValueError, match="unknown group 'Q8'; known: S8, P1bar, aP"):
        cell_group("Q8")


def test_every_named_group_acts_on_the_cells():
    for name in GROUPS:
        for g in cell_group(name):
            assert np.array_equal(np.sort(g), np.arange(8))
