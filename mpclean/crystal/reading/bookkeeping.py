"""What a file says about its crystal beside the sites must agree with them.

A formula, a number of atoms, a volume and a density are written by the same hand as the sites. Where they
disagree, something was lost or misread, hydrogens or a space group, so the crystal is refused and the message
gives both sides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from math import gcd
from typing import Any

import numpy as np
from scipy.constants import atomic_mass

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.formula import formula
from mpclean.crystal.reading.facts import ISOTOPES, element
from mpclean.errors import RecordError
from mpclean.vocabulary.elements import SYMBOLS

#: The reason, in the words of the ledger.
DISAGREES = "file disagrees with its crystal"

#: Largest relative difference: formulas round 0.999 to 1, volumes have a few digits, and a density follows
#: from masses of other years.
FORMULA_TOLERANCE = 0.01
VOLUME_TOLERANCE = 0.005
DENSITY_TOLERANCE = 0.02

#: Elements whose reduced formula is a molecule of two atoms to pymatgen.
DIATOMIC = frozenset(("H", "N", "O", "F", "Cl"))

_FORMULA = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?")


def parse_formula(text: str) -> dict[str, float]:
    """Read a formula, ``O3 Sr Ti``, ``O3SrTi`` or ``Mg(HO)2``, as numbers of atoms by symbol.

    Raises
    ------
    RecordError
        If it is something else.
    """
    if "(" in text or "[" in text:
        from pymatgen.core import Composition

        try:
            return {str(species.name): float(number) for species, number in Composition(text).items()}
        except ValueError as error:
            raise RecordError(DISAGREES, f"it says {text!r}, which is no formula ({error})") from error
    counts: dict[str, float] = {}
    for part in text.replace(",", " ").split():
        pieces = _FORMULA.findall(part)
        if "".join(symbol + number for symbol, number in pieces) != part:
            raise RecordError(DISAGREES, f"it says {text!r}, which is no formula")
        for symbol, number in pieces:
            counts[symbol] = counts.get(symbol, 0.0) + float(number or 1)
    return counts


def require_formula(
    crystal: Crystal, stated: Mapping[str, float], said: str, formula_units: float | None = None
) -> None:
    """Refuse a crystal that is of another composition than it says.

    Parameters
    ----------
    crystal
        Its cell.
    stated
        Number of atoms of each element, in any multiple; isotopes count as hydrogen.
    said
        How the file writes it, for the message.
    formula_units
        Formula units in the cell (Z), where they are stated.

    Raises
    ------
    RecordError
        If the shares of the elements differ, or the number of atoms is another one.
    """
    wanted: Counter[str] = Counter()
    for symbol, number in stated.items():
        if number:
            wanted["H" if symbol in ISOTOPES else symbol] += number  # type: ignore[assignment]
    found = Counter(SYMBOLS[z] for z in crystal.atomic_numbers.tolist())
    cell = formula(crystal.atomic_numbers)
    times = found.total() / wanted.total() if wanted.total() else np.inf
    for symbol in wanted.keys() | found.keys():
        if abs(found[symbol] - times * wanted[symbol]) > FORMULA_TOLERANCE * max(found[symbol], 1):
            raise RecordError(DISAGREES, f"it says {said}, its sites are {cell}")
    if formula_units is None:
        return
    # pymatgen states the formula of the whole cell, and Z of the reduced one, which for gases is a molecule.
    units = gcd(*found.values()) / (2 if len(found) == 1 and DIATOMIC.issuperset(found) else 1)
    whole = abs(times - 1.0) <= FORMULA_TOLERANCE and units == formula_units
    if not whole and abs(times - formula_units) > FORMULA_TOLERANCE * formula_units:
        raise RecordError(
            DISAGREES,
            f"it says {said} and Z = {formula_units:g}, {formula_units * wanted.total():g} atoms; "
            f"its sites are {cell}, {len(crystal)} atoms",
        )


def require_composition(crystal: Crystal, stated: Mapping[str, Any]) -> None:
    """Refuse a crystal whose cell is not the composition that an entry of pymatgen states.

    Parameters
    ----------
    crystal
        Its cell.
    stated
        Number of atoms by species: ``Mg`` or ``Mg2+``.

    Raises
    ------
    RecordError
        If they differ, by elements or by their numbers.
    """
    said = "composition " + " ".join(f"{label}{number}" for label, number in stated.items())
    counts: Counter[str] = Counter()
    for label, number in stated.items():
        if not isinstance(number, int | float):
            raise RecordError(DISAGREES, f"it says {said}, which is no composition")
        counts[element(label)] += number  # type: ignore[assignment]
    require_formula(crystal, counts, said, 1.0)


def require_atoms(crystal: Crystal, stated: float) -> None:
    """Refuse a crystal with another number of atoms than it says.

    Raises
    ------
    RecordError
        If the numbers differ.
    """
    if stated != len(crystal):
        raise RecordError(DISAGREES, f"it says {stated:g} atoms, its sites are {len(crystal)}")


def require_volume(crystal: Crystal, stated: float) -> None:
    """Refuse a crystal whose cell has another volume than it says, A^3.

    Raises
    ------
    RecordError
        If they differ by more than `VOLUME_TOLERANCE`.
    """
    if not abs(stated - crystal.volume) <= VOLUME_TOLERANCE * crystal.volume:
        raise RecordError(DISAGREES, f"it says a volume of {stated:g} A^3, its cell has {crystal.volume:.6g}")


def require_length(name: str, length: float, stated: float) -> None:
    """Refuse a cell vector of another length than is stated beside it, A.

    Raises
    ------
    RecordError
        If they differ by more than `VOLUME_TOLERANCE`.
    """
    if not abs(stated - length) <= VOLUME_TOLERANCE * length:
        raise RecordError(DISAGREES, f"it says {name} = {stated:g} A, its lattice has {length:.6g}")


def require_density(crystal: Crystal, mass: float, stated: float) -> None:
    """Refuse a crystal of another density than it says.

    Parameters
    ----------
    crystal
        Its cell.
    mass
        Mass of the cell, Da, its isotopes as they were written.
    stated
        Density, g/cm^3.

    Raises
    ------
    RecordError
        If they differ by more than `DENSITY_TOLERANCE`.
    """
    density = mass * atomic_mass * 1e3 / (crystal.volume * 1e-24)
    if not abs(stated - density) <= DENSITY_TOLERANCE * density:
        raise RecordError(DISAGREES, f"it says a density of {stated:g} g/cm^3, its sites have {density:.4g}")
