"""What every door asks of a crystal, whatever it was written in.

A file, object or document states facts: its species, their occupancies, its periodic directions. Each is
judged here, once, so that no format is more lenient than another.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mpclean.crystal.crystal import Crystal
from mpclean.errors import RecordError
from mpclean.vocabulary.elements import ATOMIC_NUMBERS

#: Reasons that all doors share, in the words of the ledger.
NOT_PERIODIC = "not periodic in three directions"
PARTIAL = "partial occupancies"
UNKNOWN_ELEMENT = "unknown element"
MALFORMED = "structure is malformed"
NO_STRUCTURE = "no structure"

#: Occupancies within this of 1 are full: the last digits of sums of decimals.
FULL = 1e-6

#: Isotopes with symbols of their own, which are atoms of hydrogen to every label that is read here.
ISOTOPES = {"D": "deuterium", "T": "tritium"}

# A symbol with what labels, charges and pseudopotentials add to it: Li1, Fe2+, O-2, Ti_sv, C(3), H1A. Another
# letter right after the symbol may belong to it or not (OW, HO), so such a label is refused.
_WATER = re.compile(r"[HD]\d*O")  # a molecule of several atoms, as H2O and H3O1
_LABEL = re.compile(r"([A-Z][a-z]?)(?:[0-9+\-_(.'*/].*)?", re.DOTALL)


@dataclass(frozen=True)
class Reading:
    """A crystal that was read.

    Attributes
    ----------
    crystal
        In the cell in which it was written.
    notes
        What was read otherwise than it was written, one sentence each.
    """

    crystal: Crystal
    notes: tuple[str, ...] = ()


def element(label: object) -> str:
    """Return the symbol that a species, a type symbol or a label of a site names, D and T included.

    Parameters
    ----------
    label
        A symbol, or one followed by a number, a charge, or the name of a pseudopotential: ``Li``,
        ``Li1``, ``Fe2+``, ``Ti_sv``.

    Raises
    ------
    RecordError
        If it names no element for certain.
    """
    if not isinstance(label, str):
        raise RecordError(UNKNOWN_ELEMENT, f"{label!r:.60}")
    text = label.strip()
    if text in ATOMIC_NUMBERS or text in ISOTOPES:
        return text
    match = None if _WATER.match(text) else _LABEL.fullmatch(text)
    symbol = match[1] if match else ""
    # T1 and T2 are the tetrahedral sites of zeolites and feldspars, not tritium.
    if symbol in ATOMIC_NUMBERS or symbol == "D":
        return symbol
    raise RecordError(UNKNOWN_ELEMENT, f"{label!r:.60}")


def atomic_number(symbol: str) -> int:
    """Return the atomic number of what `element` returned; isotopes are hydrogen."""
    return 1 if symbol in ISOTOPES else ATOMIC_NUMBERS[symbol]


def isotope_notes(symbols: Iterable[str]) -> tuple[str, ...]:
    """Say which atoms of a crystal are isotopes that are read as hydrogen.

    Parameters
    ----------
    symbols
        As `element` returns them, one for each atom.
    """
    counts = Counter(symbol for symbol in symbols if symbol in ISOTOPES)
    return tuple(
        f"{number} {'atom' if number == 1 else 'atoms'} of {ISOTOPES[symbol]} read as hydrogen"
        for symbol, number in sorted(counts.items())
    )


def require_full(occupancies: Mapping[str, Any], site: object = "") -> str:
    """Return the label of the one species that fills a site.

    Parameters
    ----------
    occupancies
        The share of the site that each species has.
    site
        How the site is known, for the message.

    Raises
    ------
    RecordError
        If several species share the site, or one fills less or more than all of it.
    """
    where = f"site {site}: " if site != "" else ""
    if len(occupancies) == 1:
        ((label, share),) = occupancies.items()
        if isinstance(share, int | float) and abs(share - 1.0) <= FULL:
            return label
        if isinstance(share, int | float) and share > 1.0:
            raise RecordError("occupancy above 1", f"{where}{label} has occupancy {share:g}")
    shares = ", ".join(f"{label} {share!r:.20}" for label, share in occupancies.items())
    raise RecordError(PARTIAL, f"{where}{shares}; order the structure first")


def require_periodic(directions: Sequence[Any]) -> None:
    """Refuse a crystal that does not repeat in all three directions.

    Parameters
    ----------
    directions
        Three booleans, or 0 and 1.

    Raises
    ------
    RecordError
        If one is false, or there are not three.
    """
    if len(directions) != 3 or not all(directions):
        raise RecordError(NOT_PERIODIC, f"pbc = {[bool(direction) for direction in directions]}")
