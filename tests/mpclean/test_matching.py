"""Classes of equal structures."""

import numpy as np
import pyarrow as pa

from mpclean.matching import structure_classes


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
