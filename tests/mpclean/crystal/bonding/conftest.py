"""A handful of small crystals with bonds of every kind."""

from __future__ import annotations

import numpy as np
import pytest

from mpclean.crystal.crystal import Crystal
from mpclean.vocabulary.elements import ATOMIC_NUMBERS


def make(lattice, symbols, coords):
    numbers = np.array([ATOMIC_NUMBERS[symbol] for symbol in symbols.split()], dtype=np.uint8)
    return Crystal(np.array(lattice, dtype=float), numbers, np.array(coords, dtype=float).reshape(-1, 3))


def hexagonal(a, c):
    return [[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]]


FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2

CRYSTALS = {
    "rock salt": make(5.64 * FCC, "Na Cl", [(0, 0, 0), (0.5, 0.5, 0.5)]),
    "hcp": make(hexagonal(3.21, 5.21), "Mg Mg", [(1 / 3, 2 / 3, 0.25), (2 / 3, 1 / 3, 0.75)]),
    "perovskite": make(
        3.905 * np.eye(3),
        "Sr Ti O O O",
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    ),
    "layers": make(
        hexagonal(3.16, 6.5), "Mo S S", [(1 / 3, 2 / 3, 0), (2 / 3, 1 / 3, 0.24), (2 / 3, 1 / 3, 0.76)]
    ),
    "chains": make(np.diag([6.0, 6.0, 2.6]), "Se", [(0, 0, 0)]),
    "molecules": make(5.5 * np.eye(3), "N N", [(0, 0, 0), (0.1155, 0.1155, 0.1155)]),
    "diamond": make(3.567 * FCC, "C C", [(0, 0, 0), (0.25, 0.25, 0.25)]),
    "triclinic": make(
        [[4.1, 0.2, -0.3], [-0.9, 5.2, 0.4], [0.7, -1.3, 4.7]],
        "Ca Fe O O F",
        [(0.02, 0.11, 0.05), (0.48, 0.57, 0.61), (0.45, 0.13, 0.31), (0.93, 0.62, 0.52), (0.61, 0.88, 0.94)],
    ),
}


@pytest.fixture(params=CRYSTALS)
def crystal(request):
    return CRYSTALS[request.param]


@pytest.fixture(scope="session")
def crystals():
    return CRYSTALS
