"""The ways in which documents are bad: missing, absurd and unreadable values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: A document in the shape of a summary document of the Materials Project.
Document = dict[str, Any]


@dataclass(frozen=True)
class Defect:
    """A way in which a document can be bad.

    Attributes
    ----------
    case
        Its name.
    count
        Documents that have it, each another crystal.
    spoil
        Takes a good document and returns the bad one; the good one may be changed.
    """

    case: str
    count: int
    spoil: Callable[[Document], Document]


def as_it_is(document: Document) -> Document:
    """Leave a document as it is: no defect."""
    return document


def stating(**values: Any) -> Callable[[Document], Document]:
    """State other values under some keys."""
    return lambda document: document | values


def _without(*keys: str) -> Callable[[Document], Document]:
    """Leave keys out."""
    return lambda document: {key: value for key, value in document.items() if key not in keys}


def _at_site(**values: Any) -> Callable[[Document], Document]:
    """State other values under some keys of the first site."""

    def spoil(document: Document) -> Document:
        document["structure"]["sites"][0] |= values
        return document

    return spoil


def _flat(document: Document) -> Document:
    """Make the third cell vector the sum of the others, so that the cell has no volume."""
    a, b, _ = document["structure"]["lattice"]["matrix"]
    document["structure"]["lattice"]["matrix"] = [a, b, [x + y for x, y in zip(a, b, strict=True)]]
    return document


def _coincident(document: Document) -> Document:
    """Write the first atom twice."""
    document["structure"]["sites"].append(document["structure"]["sites"][0])
    return document


def _without_moments(document: Document) -> Document:
    """Leave the magnetic moments out."""
    for site in document["structure"]["sites"]:
        site["properties"] = {}
    return document


_NAN = float("nan")

#: The defects. NaN and Infinity are written as Python's json writes them.
DEFECTS: tuple[Defect, ...] = (
    # Missing.
    Defect("null gap", 10, stating(band_gap=None)),
    Defect("null Fermi energy", 10, stating(efermi=None)),
    Defect("Fermi energy None", 10, stating(efermi="None")),
    Defect("null magnetisation", 10, stating(total_magnetization=None)),
    Defect("null energy", 10, stating(formation_energy_per_atom=None)),
    Defect("no moments", 10, _without_moments),
    Defect(
        "no optional keys", 10, _without("efermi", "energy_above_hull", "is_hubbard", "total_magnetization")
    ),
    # Absurd.
    Defect("energy NaN", 2, stating(formation_energy_per_atom=_NAN)),
    Defect("energy 1e6", 2, stating(formation_energy_per_atom=1e6)),
    Defect("energy -1e6", 2, stating(formation_energy_per_atom=-1e6)),
    Defect("gap below zero", 2, stating(band_gap=-3.0)),
    Defect("infinite Fermi energy", 2, stating(efermi=float("inf"))),
    Defect("magnetisation 1e9", 2, stating(total_magnetization=1e9)),
    Defect("space group 999", 2, stating(symmetry={"number": 999})),
    Defect("another space group", 6, stating(symmetry={"number": 2})),
    # Unreadable.
    Defect("null structure", 2, stating(structure=None)),
    Defect("no structure", 2, _without("structure")),
    Defect("no sites", 2, lambda document: document | {"structure": document["structure"] | {"sites": []}}),
    Defect("coordinate NaN", 2, _at_site(abc=[_NAN, 0.0, 0.0])),
    Defect("zero volume", 2, _flat),
    Defect("coincident atoms", 2, _coincident),
    Defect(
        "partial occupancy",
        2,
        _at_site(species=[{"element": "Fe", "occu": 0.5}, {"element": "Ni", "occu": 0.5}]),
    ),
    Defect("no radius", 2, _at_site(species=[{"element": "Bk", "occu": 1}])),
    Defect("no element", 2, _at_site(species=[{"element": "Xx", "occu": 1}])),
    Defect("no id", 2, _without("material_id")),
    Defect("id seen twice", 2, stating(material_id="demo-1")),
)
