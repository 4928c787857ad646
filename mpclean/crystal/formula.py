"""Formulas of cells as pymatgen writes them."""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray

from mpclean.vocabulary.elements import ELECTRONEGATIVITY_ORDER, SYMBOLS


def formula(atomic_numbers: NDArray[np.uint8]) -> str:
    """Write the formula of a cell with its counts as they stand, as pymatgen does: ``Na4 Cl4``.

    Parameters
    ----------
    atomic_numbers
        (n,) atomic numbers of the cell.
    """
    counts = np.bincount(atomic_numbers, minlength=len(SYMBOLS))
    present = sorted(np.nonzero(counts)[0], key=lambda z: ELECTRONEGATIVITY_ORDER[z])
    return " ".join(f"{SYMBOLS[z]}{counts[z]}" for z in present)


def reduced_formula(cell_formula: str) -> str:
    """Divide the counts of ``Na4 Cl4`` by their greatest common divisor: ``NaCl``.

    Unlike pymatgen's, it knows no special molecules: N2 is N, as its cell has it.

    Parameters
    ----------
    cell_formula
        As `formula` writes it.
    """
    parts = [(part.rstrip("0123456789"), part) for part in cell_formula.split()]
    counts = [int(part[len(symbol) :]) for symbol, part in parts]
    divisor = gcd(*counts)
    return "".join(
        symbol + (str(count // divisor) if count > divisor else "")
        for (symbol, _), count in zip(parts, counts, strict=True)
    )
