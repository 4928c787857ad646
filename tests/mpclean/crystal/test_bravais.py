"""The fourteen lattices: axioms of their point groups, and which space group has which."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from moyopy import SpaceGroupType

from mpclean.crystal.bravais import (
    BRAVAIS_TYPES,
    bravais_type,
    point_group,
    point_group_generators,
    primitive_basis,
)

ORDERS = {
    "aP": 2, "mP": 4, "mC": 4, "oP": 8, "oC": 8, "oI": 8, "oF": 8,
    "tP": 16, "tI": 16, "hR": 12, "hP": 24, "cP": 48, "cI": 48, "cF": 48,
}  # fmt: skip

# Space groups per Bravais type, International Tables A.
SPACE_GROUPS = {
    "aP": 2, "mP": 8, "mC": 5, "oP": 30, "oC": 15, "oI": 9, "oF": 5,
    "tP": 49, "tI": 19, "hR": 7, "hP": 45, "cP": 15, "cI": 10, "cF": 11,
}  # fmt: skip


def conventional_lattice(name):
    """Rows of a conventional cell that has the symmetry of its family and no more."""
    angle = np.deg2rad(103.0)
    family = {
        "a": [[3.1, 0, 0], [0.7, 4.3, 0], [-0.9, 1.3, 5.2]],
        "m": [[3.1, 0, 0], [0, 4.3, 0], [5.2 * np.cos(angle), 0, 5.2 * np.sin(angle)]],
        "o": np.diag([3.1, 4.3, 5.2]),
        "t": np.diag([3.1, 3.1, 5.2]),
        "h": [[3.1, 0, 0], [-3.1 / 2, 3.1 * np.sqrt(3) / 2, 0], [0, 0, 5.2]],
        "c": np.diag([3.1, 3.1, 3.1]),
    }
    return np.array(family[name[0]], dtype=float)


def as_set(matrices):
    return {tuple(w.ravel().tolist()) for w in matrices}


def test_there_are_fourteen():
    assert sorted(BRAVAIS_TYPES) == sorted(ORDERS)


@pytest.mark.parametrize("name", BRAVAIS_TYPES)
def test_order(name):
    assert len(point_group(name)) == len(as_set(point_group(name))) == ORDERS[name]


@pytest.mark.parametrize("name", BRAVAIS_TYPES)
def test_group_axioms(name):
    group = point_group(name)
    members = as_set(group)
    assert group.dtype == np.int64
    assert (group[0] == np.eye(3)).all()
    assert as_set((group[:, None] @ group[None]).reshape(-1, 3, 3)) == members
    assert as_set(-group) == members  # every lattice has the inversion
    assert as_set(np.rint(np.linalg.inv(group)).astype(int)) == members
    assert set(np.rint(np.linalg.det(group)).tolist()) == {1.0, -1.0}
    assert as_set(point_group_generators(name)) <= members


@pytest.mark.parametrize("name", BRAVAIS_TYPES)
def test_point_group_is_all_that_keeps_a_generic_metric(name):
    lattice = primitive_basis(name) @ conventional_lattice(name)
    metric = lattice @ lattice.T
    # No operation of these bases has an entry beyond 1.
    candidates = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    change = np.abs(candidates.transpose(0, 2, 1) @ metric @ candidates - metric).max(axis=(1, 2))
    assert as_set(candidates[change < 1e-9]) == as_set(point_group(name))


@pytest.mark.parametrize("name", BRAVAIS_TYPES)
def test_primitive_volume(name):
    points = {"P": 1, "C": 2, "I": 2, "F": 4, "R": 3}[name[1]]
    assert abs(np.linalg.det(primitive_basis(name))) == pytest.approx(1 / points)


def test_hexagonal_primitive_basis_has_sixty_degrees():
    a1, a2, _ = primitive_basis("hP") @ conventional_lattice("hP")
    assert a1 @ a2 / (np.linalg.norm(a1) * np.linalg.norm(a2)) == pytest.approx(0.5)


def test_space_groups_per_type():
    found = Counter(bravais_type(n, SpaceGroupType(n).hm_short[0]) for n in range(1, 231))
    assert found == SPACE_GROUPS


def test_centred_face_is_c():
    assert bravais_type(38, "A") == bravais_type(35, "C") == bravais_type(38, "B") == "oC"


@pytest.mark.parametrize("number", [0, -1, 231])
def test_no_such_space_group(number):
    with pytest.raises(ValueError, match=f"{number} is outside 1 to 230"):
        bravais_type(number, "P")


def test_unknown_type():
    with pytest.raises(KeyError):
        point_group("xP")
