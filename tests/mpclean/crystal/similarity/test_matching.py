"""Classes of equal structures, and the bounds of what is compared."""

import numpy as np
import pyarrow as pa
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.similarity import matching
from mpclean.crystal.similarity.matching import equal, first_equals, reduced, structure_classes


def row(material_id, lattice, numbers, coords, formula="NaCl"):
    return {
        "material_id": material_id,
        "reduced_formula": formula,
        "nsites": len(numbers),
        "lattice": np.ravel(lattice).astype(float),
        "atomic_numbers": numbers,
        "frac_coords": np.ravel(coords).astype(float),
        "magnetic_moments": None,
    }


FACE_CENTRED = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
ROCK_SALT = (2.8 * FACE_CENTRED, [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_equal_structures_whatever_the_symmetry():
    """A rock salt, one sheared a little (another space group), one swollen, and two that are not."""
    shear = np.eye(3) + 0.02 * np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0.5]])
    rows = [
        row("a", *ROCK_SALT),
        row("b", 3.3 * np.eye(3), [11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]]),  # that of CsCl
        row("c", ROCK_SALT[0] @ shear, *ROCK_SALT[1:]),
        row("d", 1.05 * ROCK_SALT[0], [17, 11], ROCK_SALT[2]),
        row("e", ROCK_SALT[0], [11, 17], [[0, 0, 0], [0.25, 0.25, 0.25]]),  # zinc blende
        row("f", ROCK_SALT[0], [19, 17], ROCK_SALT[2], "KCl"),
    ]
    classes = structure_classes(pa.Table.from_pylist(rows), 1)
    assert classes.to_pylist() == ["a", None, "a", "a", None, None]


def test_cells_of_other_sizes_are_not_compared():
    doubled = np.diag([1, 1, 2]) @ ROCK_SALT[0]
    coords = [[0, 0, 0], [0, 0, 0.5], [0.5, 0.5, 0.25], [0.5, 0.5, 0.75]]
    rows = [row("a", *ROCK_SALT), row("b", doubled, [11, 11, 17, 17], coords)]
    assert structure_classes(pa.Table.from_pylist(rows), 1).to_pylist() == [None, None]


def salt(scale=2.8, coords=ROCK_SALT[2], numbers=(11, 17), lattice=FACE_CENTRED):
    return Crystal(
        scale * np.array(lattice, dtype=float), np.array(numbers, np.uint8), np.array(coords, float)
    )


ZINC_BLENDE = [[0, 0, 0], [0.25, 0.25, 0.25]]
CHAIN = np.diag([3.0, 3.0, 40.0])


def test_classes_are_led_by_their_first_and_say_whether_it_equals_the_lowest():
    crystals = [
        salt(),
        salt(coords=ZINC_BLENDE),
        salt(2.9),
        salt(3.0, ZINC_BLENDE),
        salt(lattice=1.1 * np.eye(3)),
    ]
    assert first_equals(crystals) == ([0, 1, 0, 1, 4], [None, False, True, False, False])


@pytest.mark.parametrize(
    "pair",
    [
        (salt(), salt(2.7)),
        (salt(), salt(coords=ZINC_BLENDE)),
        (salt(), salt(lattice=np.eye(3))),
        # 0.2 of a period along the chain, then 0.1: more and less than the tolerance.
        (salt(1, [[0, 0, 0], [0, 0, 0.5]], lattice=CHAIN), salt(1, [[0, 0, 0], [0, 0, 0.3]], lattice=CHAIN)),
        (salt(1, [[0, 0, 0], [0, 0, 0.5]], lattice=CHAIN), salt(1, [[0, 0, 0], [0, 0, 0.47]], lattice=CHAIN)),
        # Of two alike atoms, one cell that pymatgen halves and one that it does not.
        (
            salt(1, [[0, 0, 0], [0, 0, 0.5]], (6, 6), np.diag([4, 4, 5])),
            salt(1, [[0, 0, 0], [0, 0, 0.38]], (6, 6), np.diag([4, 4, 5])),
        ),
    ],
)
def test_verdicts_are_those_of_the_matcher_as_it_comes(pair):
    verdict = StructureMatcher().fit(*(crystal.to_pymatgen() for crystal in pair))
    assert equal(*map(reduced, pair), matching.MAX_COMPARISONS)[0] is bool(verdict)


def test_what_the_matcher_would_reject_for_its_lattice_it_is_not_asked(monkeypatch):
    monkeypatch.setattr(StructureMatcher, "fit", None)
    assert equal(reduced(salt()), reduced(salt(lattice=np.diag([1, 1, 2]))), 10_000) == (False, 0)


def test_bound_of_atoms(monkeypatch):
    monkeypatch.setattr(matching, "MAX_ATOMS", 1)
    assert first_equals([salt(), salt()]) == ([0, 1], [None, None])


def test_bound_of_comparisons():
    """A rock salt maps onto itself in 48 ways, with one origin and four pairs of atoms each."""
    pair = reduced(salt()), reduced(salt())
    assert equal(*pair, 48 * 4) == (True, 48 * 4)
    assert equal(*pair, 48 * 4 - 1) == (None, 0)


def test_bound_of_comparisons_of_a_pair_and_of_a_group(monkeypatch):
    """The second zinc blende joins the first, for a third nothing is left; rock salts are always compared."""
    crystals = [salt(), *(salt(scale, ZINC_BLENDE) for scale in (2.8, 2.9, 3.0)), salt(2.9)]
    monkeypatch.setattr(matching, "MAX_COMPARISONS_OF_A_GROUP", 2 * 48 * 4 - 1)
    assert first_equals(crystals) == ([0, 1, 1, 3, 0], [None, False, False, False, True])
    monkeypatch.setattr(matching, "MAX_COMPARISONS", 48 * 4 - 1)
    assert first_equals(crystals) == ([0, 1, 2, 3, 4], [None] * 5)


@pytest.mark.slow
def test_bound_of_lattice_points():
    thin = reduced(salt(1, ROCK_SALT[2], lattice=np.diag([2.0, 2.0, 3000.0])))
    assert equal(thin, thin, matching.MAX_COMPARISONS) == (None, 0)


def test_undecided_ones_are_classes_of_their_own(monkeypatch):
    verdicts = {(0, 1): None, (0, 2): None, (1, 2): True}
    monkeypatch.setattr(matching, "equal", lambda first, second, most: (verdicts[first, second], 0))
    monkeypatch.setattr(matching, "reduced", lambda number: number)
    assert first_equals([0, 1, 2]) == ([0, 1, 1], [None, None, None])
