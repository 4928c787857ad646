"""Prototypes of textbook crystals, and their independence of how a crystal is written."""

import numpy as np
import pyarrow as pa
import pytest

from mpclean.crystal.cells import SymmetryError
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.similarity.prototypes import prototype, prototypes

_FACE_CENTRED = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])


def crystal(lattice, numbers, coords):
    return Crystal(np.array(lattice, float), np.array(numbers, np.uint8), np.array(coords, float))


ROCK_SALT = crystal(2.8 * _FACE_CENTRED, [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]])
PEROVSKITE = crystal(
    3.9 * np.eye(3), [38, 22, 8, 8, 8], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
)
RUTILE = crystal(
    np.diag([4.6, 4.6, 2.96]),
    [22, 22, 8, 8, 8, 8],
    [[0, 0, 0], [0.5] * 3, [0.3, 0.3, 0], [0.7, 0.7, 0], [0.8, 0.2, 0.5], [0.2, 0.8, 0.5]],
)


def test_textbook_labels():
    """The labels of the AFLOW encyclopedia, Mehl et al. 2017, Comput. Mater. Sci. 136, S1: their prefixes."""
    assert prototype(ROCK_SALT) == "AB_cF8_225_a_b"
    assert prototype(RUTILE) == "AB2_tP6_136_a_f"


def test_elements_are_forgotten():
    other = Crystal(1.1 * ROCK_SALT.lattice, np.array([12, 8], np.uint8), ROCK_SALT.frac_coords)
    swapped = Crystal(ROCK_SALT.lattice, ROCK_SALT.atomic_numbers[::-1], ROCK_SALT.frac_coords)
    assert prototype(other) == prototype(swapped) == prototype(ROCK_SALT)
    zinc_blende = Crystal(ROCK_SALT.lattice, ROCK_SALT.atomic_numbers, ROCK_SALT.frac_coords / 2)
    assert prototype(zinc_blende) == "AB_cF8_216_a_c" != prototype(ROCK_SALT)


def test_either_origin_of_a_perovskite():
    """With the large cation or the small one at the origin, Wyckoff letters are others."""
    moved = Crystal(PEROVSKITE.lattice, PEROVSKITE.atomic_numbers, PEROVSKITE.frac_coords + 0.5)
    assert prototype(PEROVSKITE) == prototype(moved) == "ABC3_cP5_221_a_b_c"


@pytest.mark.parametrize("how", ["basis", "supercell", "mirrored basis"])
@pytest.mark.parametrize("original", [ROCK_SALT, PEROVSKITE, RUTILE])
def test_any_way_of_writing(original, how, rewrite):
    rng = np.random.default_rng(0)
    assert {prototype(rewrite(original, rng, how)) for _ in range(10)} == {prototype(original)}


def test_no_symmetry_found():
    overlapping = crystal(3 * np.eye(3), [11, 11], [[0, 0, 0], [0, 0, 0.001]])
    with pytest.raises(SymmetryError):
        prototype(overlapping)
    rows = [
        {
            "lattice": c.lattice.ravel(),
            "atomic_numbers": c.atomic_numbers,
            "frac_coords": c.frac_coords.ravel(),
            "magnetic_moments": None,
        }
        for c in (ROCK_SALT, overlapping)
    ]
    assert prototypes(pa.Table.from_pylist(rows), 1).to_pylist() == ["AB_cF8_225_a_b", None]
