"""An embedded source: invented crystals that bring every case the cleaning rules exist for.

**Everything here is synthetic.** The crystals are real structure types (`PROTOTYPES`) that
are decorated with elements whether or not such a compound exists, and the labels are the
closed form below, not the result of any calculation or measurement. Every document says so
(``"synthetic": true``), every id begins with ``demo-``, and the identity of the source and
its citation line repeat it.

Crystals
--------
A crystal is a prototype with an element on each of its sites, scaled so that no two atoms of
different sites are nearer than the sum of their covalent radii. It then *breathes*: its
lengths change by up to 3 %. One in three three-dimensional crystals is also *distorted*: a
random strain of up to 2 % and displacements of up to 0.15 A along each axis, which leave no
symmetry. Every fourth of the others states its space group, as some sources do.

Cases
-----
Each document names its case in ``"case"`` (`COUNTS` is computed from the tables):

=========================  =====  ==========================================================
crystal                     2400  three-dimensional bonds, metals and insulators
layers, chains, molecules    225  bonds in two, one and no dimensions (150 + 27 + 48)
large                         40  garnets, 80 atoms in the primitive cell
large supercell               20  rattled rock salts of 54 atoms
disconnected                  48  an open net with a noble gas in its cages, or two nets
                                  that share no bond
duplicate                    120  a *crystal* again, its lengths changed by up to 1 %
duplicate without energy      10  the same, and no formation energy
other cell                    60  a *crystal* again: supercell, centred cell or other basis,
                                  with another origin
defects                      112  missing, absurd and unreadable, the rows of `DEFECTS`
=========================  =====  ==========================================================

Labels
------
With Pauling electronegativity X (0 where there is none), covalent radius r, distance d,
s_ij = d_ij - r_i - r_j, and a weight w(s) that falls smoothly from 1 at s = 0 to 0 at
s = 0.5 A, where a bond ends, sums run over all pairs through all images:

* ionicity   I = sum w (X_i - X_j)^2 / sum w, of an atom (I_i) or of the cell (I);
* strain     S = 0.5 var(r) / mean(r)^2 + 0.15 sum_ij w s_ij^2 / N,  in eV/atom;
* ``formation_energy_per_atom`` = S - 0.1 sum_ij w (X_i - X_j)^2 / N;
* ``energy_above_hull`` = S, which is never negative;
* ``band_gap`` = max(0, 1.4 (I - 1.2)), so what is not ionic is a metal;
* ``efermi`` = 1.5 mean(X) + 30 (N / V)^(2/3) - 3, with the volume V in A^3;
* magnetic moment of an atom = u_i I_i / (1 + I_i) in muB, where u = min(n, 10 - n) or
  min(n, 14 - n) unpaired electrons for d^n of a dipositive 3d or f^n of a tripositive 4f
  ion; ``total_magnetization`` is their sum over the cell;
* ``is_hubbard`` as in the Materials Project: Co, Cr, Fe, Mn, Mo, Ni, V or W with O or F.

The constants only put the values into the range of real ones. This is **not physics**, but
it is smooth and local, so a graph network can learn it from elements and bonds.

To extend
---------
A new structure type is one `Prototype` in `PROTOTYPES`, a new kind of bad record one
`Defect` in `DEFECTS`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mpclean.crystal.bonding.graph import BOND_TOLERANCE, MAX_BOND_LENGTH, radius_graph
from mpclean.crystal.bonding.radii import COVALENT_RADII
from mpclean.crystal.bravais import PRIMITIVE_BASES
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.linear import inverse, matmul
from mpclean.sources.base import Identity, Source, batched_documents
from mpclean.vocabulary.elements import ATOMIC_NUMBERS, SYMBOLS

#: Everything random comes from it.
SEED = 20221201

#: Raised whenever the documents change.
VERSION = "1"

Document = dict[str, Any]

# Groups of elements to decorate with.
ALKALI = "Li Na K Rb Cs "
EARTH = "Mg Ca Sr Ba "
METAL_3D = "Sc Ti V Cr Mn Fe Co Ni Cu Zn "
METAL_4D = "Y Zr Nb Mo Ru Rh Pd Ag Cd "
METAL_5D = "Hf Ta W Re Os Ir Pt Au "
RARE_EARTH = "La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Yb Lu "
TRIEL = "Al Ga In Tl "
TETREL = "Si Ge Sn Pb "
PNICTOGEN = "N P As Sb "
CHALCOGEN = "O S Se Te "
HALOGEN = "F Cl Br I "


@dataclass(frozen=True)
class Site:
    """An orbit or several of a prototype that carry one element.

    Attributes
    ----------
    elements
        Symbols of the elements that may be placed here.
    positions
        Fractional coordinates of one atom of each orbit.
    """

    elements: str
    positions: tuple[tuple[float, float, float], ...]


def _site(elements: str, *positions: tuple[float, float, float]) -> Site:
    return Site(elements, positions)


@dataclass(frozen=True)
class Prototype:
    """A structure type.

    Attributes
    ----------
    name
        Usual name and Strukturbericht symbol.
    spacegroup
        International number; coordinates are in the standard setting of the International
        Tables (second origin, hexagonal axes).
    cell
        Lengths of the conventional cell of the type's namesake, A: (a,) cubic, (a, c)
        tetragonal and hexagonal, (a, b, c) orthorhombic. Only their ratios matter.
    sites
        What goes where.
    case
        The case that its crystals are.
    """

    name: str
    spacegroup: int
    cell: tuple[float, ...]
    sites: tuple[Site, ...]
    case: str = "crystal"


_O = (0.0, 0.0, 0.0)
_BODY = (0.5, 0.5, 0.5)
_QUARTER = (0.25, 0.25, 0.25)
_EIGHTH = (0.125, 0.125, 0.125)
_THIRD = (1 / 3, 2 / 3, 0.25)

# fmt: off
#: The structure types. Parameters are those of the namesake, from the literature.
PROTOTYPES: tuple[Prototype, ...] = (
    # Elements.
    Prototype("copper, A1", 225, (3.61,), (
        _site(EARTH + METAL_3D + METAL_4D + METAL_5D + TRIEL + RARE_EARTH, _O),)),
    Prototype("tungsten, A2", 229, (3.16,), (
        _site(ALKALI + METAL_3D + METAL_4D + METAL_5D + RARE_EARTH, _O),)),
    Prototype("magnesium, A3", 194, (3.21, 5.21), (
        _site(EARTH + METAL_3D + METAL_4D + METAL_5D + RARE_EARTH, _THIRD),)),
    Prototype("diamond, A4", 227, (3.57,), (_site("C B " + TETREL, _EIGHTH),)),
    # AB.
    Prototype("rock salt, B1", 225, (5.64,), (
        _site(ALKALI + EARTH + METAL_3D + RARE_EARTH, _O), _site(HALOGEN + CHALCOGEN + PNICTOGEN, _BODY))),
    Prototype("caesium chloride, B2", 221, (4.12,), (
        _site(ALKALI + EARTH + METAL_3D + RARE_EARTH + "Tl ", _O),
        _site(HALOGEN + TRIEL + "Ag Au Hg ", _BODY))),
    Prototype("zincblende, B3", 216, (5.41,), (
        _site("Be B Mg Mn Fe Cu Zn Cd Hg Si " + TRIEL, _O),
        _site(HALOGEN + CHALCOGEN + PNICTOGEN + "C ", _QUARTER))),
    Prototype("wurtzite, B4", 186, (3.82, 6.26), (
        _site("Be B Mg Mn Co Cu Ag Zn Cd Si " + TRIEL, (1 / 3, 2 / 3, 0.0)),
        _site(HALOGEN + CHALCOGEN + PNICTOGEN + "C ", (1 / 3, 2 / 3, 0.374)))),
    Prototype("nickel arsenide, B8_1", 194, (3.62, 5.03), (
        _site(METAL_3D + METAL_4D + METAL_5D, _O), _site("P As Sb Bi S Se Te Sn ", _THIRD))),
    # AB2.
    Prototype("fluorite, C1", 225, (5.46,), (
        _site(EARTH + RARE_EARTH + "Zr Hf Th U Pb Cd Hg ", _O), _site("O S Se F Cl Br H ", _QUARTER))),
    Prototype("antifluorite, C1", 225, (4.62,), (
        _site(CHALCOGEN + TETREL, _O), _site("Li Na K Rb Mg Be ", _QUARTER))),
    Prototype("pyrite, C2", 205, (5.42,), (
        _site(METAL_3D + "Ru Rh Os Ir Pt Pd ", _O), _site("P As Sb S Se Te ", (0.385, 0.385, 0.385)))),
    Prototype("rutile, C4", 136, (4.59, 2.96), (
        _site(METAL_3D + METAL_4D + METAL_5D + TETREL + "Mg ", _O), _site("O F N S ", (0.305, 0.305, 0.0)))),
    Prototype("anatase, C5", 141, (3.78, 9.51), (
        _site(METAL_3D + METAL_4D + METAL_5D + TETREL, (0.0, 0.25, 0.375)),
        _site("O F N S ", (0.0, 0.25, 0.1669)))),
    Prototype("aluminium diboride, C32", 191, (3.01, 3.26), (
        _site(EARTH + METAL_3D + METAL_4D + METAL_5D + RARE_EARTH, _O),
        _site("B Al Ga Si Ge ", (1 / 3, 2 / 3, 0.5)))),
    Prototype("Laves phase, C15", 227, (7.04,), (
        _site(EARTH + RARE_EARTH + "Y Zr Hf Nb ", _EIGHTH), _site("Mn Fe Co Ni Cu Zn Al Ru Rh Pt ", _BODY))),
    # AB3 and A2B3.
    Prototype("rhenium trioxide, D0_9", 221, (3.75,), (
        _site(METAL_3D + METAL_4D + METAL_5D, _O), _site("O F N ", (0.5, 0.0, 0.0)))),
    Prototype("copper gold, L1_2", 221, (3.75,), (
        _site(TRIEL + TETREL + "Au Pt Mg " + RARE_EARTH, _O),
        _site("Ti Mn Fe Co Ni Cu Rh Pd Ag Ir ", (0.0, 0.5, 0.5)))),
    Prototype("chromium silicide, A15", 223, (4.56,), (
        _site("Ti V Cr Zr Nb Mo Ta W ", (0.25, 0.0, 0.5)),
        _site(TRIEL + TETREL + "As Sb Pt Au Ir Rh Os ", _O))),
    Prototype("corundum, D5_1", 167, (4.76, 12.99), (
        _site(METAL_3D + METAL_4D + "B " + TRIEL, (0.0, 0.0, 0.352)),
        _site("O S Se N F ", (0.306, 0.0, 0.25)))),
    Prototype("bixbyite, D5_3", 206, (10.60,), (
        _site(RARE_EARTH + "Sc Y In Mn ", _QUARTER, (-0.032, 0.0, 0.25)),
        _site("O S ", (0.391, 0.152, 0.380)))),
    # Three elements and more.
    Prototype("half-Heusler, C1_b", 216, (5.93,), (
        _site("Li Mg Ti V Zr Nb Hf Ta " + RARE_EARTH, _BODY),
        _site("Fe Co Ni Cu Ru Rh Pd Ir Pt Au ", _QUARTER),
        _site("Si Ge Sn Pb As Sb Bi Al ", _O))),
    Prototype("Heusler, L2_1", 225, (5.77,), (
        _site("Fe Co Ni Cu Ru Rh Pd ", _QUARTER), _site("Sc Ti V Cr Mn Zr Nb Hf Ta ", _O),
        _site(TRIEL + "Si Ge Sn Sb ", _BODY))),
    Prototype("chalcopyrite, E1_1", 122, (5.29, 10.42), (
        _site("Li Cu Ag Zn Cd Mg ", _O), _site("Al Ga In Tl Si Ge Sn ", (0.0, 0.0, 0.5)),
        _site("O S Se Te P As Sb ", (0.257, 0.25, 0.125)))),
    Prototype("cubic perovskite, E2_1", 221, (3.91,), (
        _site("Na K Rb Cs Ca Sr Ba La Ce Pb ", _BODY), _site(METAL_3D + METAL_4D + METAL_5D, _O),
        _site("O F N S Cl ", (0.5, 0.0, 0.0)))),
    Prototype("strontium titanate, tilted", 140, (5.51, 7.81), (
        _site("Na K Rb Cs Ca Sr Ba La Ce Pb Bi ", (0.0, 0.5, 0.25)),
        _site(METAL_3D + METAL_4D + METAL_5D, _O),
        _site("O F N S ", (0.0, 0.0, 0.25), (0.245, 0.745, 0.0)))),
    Prototype("potassium nickel fluoride", 139, (4.01, 13.08), (
        _site("K Rb Ca Sr Ba La Nd Gd ", (0.0, 0.0, 0.352)), _site(METAL_3D + METAL_4D + METAL_5D, _O),
        _site("O F ", (0.0, 0.5, 0.0), (0.0, 0.0, 0.151)))),
    Prototype("spinel, H1_1", 227, (8.08,), (
        _site("Mg Mn Fe Co Ni Cu Zn Cd Ge ", _EIGHTH), _site("Al Ga In Sc Ti V Cr Mn Fe Co Rh ", _BODY),
        _site("O S Se F ", (0.2624, 0.2624, 0.2624)))),
    Prototype("sodium ferrite, F5_1", 166, (3.02, 16.09), (
        _site("Li Na K Ag Cu ", (0.0, 0.0, 0.5)), _site("Al Ga In " + METAL_3D + "Y Rh Bi La ", _O),
        _site("O S Se F ", (0.0, 0.0, 0.234)))),
    # Layers.
    Prototype("graphite, A9", 194, (2.46, 6.71), (_site("C Si Ge ", (0.0, 0.0, 0.25), _THIRD),), "layers"),
    Prototype("boron nitride, B_k", 194, (2.50, 6.66), (
        _site("B Al Ga In ", _THIRD), _site(PNICTOGEN, (1 / 3, 2 / 3, 0.75))), "layers"),
    Prototype("molybdenite, C7", 194, (3.16, 12.30), (
        _site("Ti V Cr Zr Nb Mo Hf Ta W Re ", _THIRD), _site("S Se Te ", (1 / 3, 2 / 3, 0.621))), "layers"),
    Prototype("cadmium iodide, C6", 164, (4.24, 6.84), (
        _site("Mg Ti Mn Fe Co Ni Zn Zr Cd Hf Sn Pt ", _O),
        _site("S Se Te Cl Br I ", (1 / 3, 2 / 3, 0.249))), "layers"),
    Prototype("bismuth iodide, D0_5", 148, (7.52, 20.70), (
        _site("Al Sc V Cr Fe Y Ru Rh In As Sb Bi ", (0.0, 0.0, 0.1667)),
        _site("Cl Br I ", (0.3415, 0.3395, 0.0805))), "layers"),
    # Chains.
    Prototype("selenium, A8", 152, (4.37, 4.95), (_site("S Se Te ", (0.2254, 0.0, 1 / 3)),), "chains"),
    Prototype("silicon disulfide, C42", 72, (9.58, 5.61, 5.55), (
        _site("Be Si Ge Sn ", (0.0, 0.0, 0.25)), _site("S Se Te Cl Br I ", (0.1189, 0.2088, 0.0))), "chains"),
    # Molecules.
    Prototype("nitrogen", 205, (5.66,), (_site("H N O F Cl ", (0.0548, 0.0548, 0.0548)),), "molecules"),
    Prototype("iodine, A14", 64, (7.14, 4.69, 9.78), (_site("Cl Br I ", (0.0, 0.154, 0.117)),), "molecules"),
    Prototype("carbon dioxide", 205, (5.62,), (
        _site("C Si Ge Sn ", _O), _site(CHALCOGEN, (0.1185, 0.1185, 0.1185))), "molecules"),
    Prototype("silicon tetrafluoride", 217, (5.41,), (
        _site("C Si Ge Sn Ti Zr ", _O), _site(HALOGEN, (0.165, 0.165, 0.165))), "molecules"),
    # Large cells.
    Prototype("garnet", 230, (11.53,), (
        _site("Mg Ca Mn Fe Y Gd Yb Lu ", (0.125, 0.0, 0.25)), _site("Al Ga Sc Cr Fe V ", _O),
        _site("Si Ge Al Ga ", (0.375, 0.0, 0.25)), _site("O ", (0.0329, 0.0502, 0.6534))), "large"),
    # Three-dimensional nets that are not all of the crystal: an atom in a cage; two nets that a
    # glide or the centring exchanges. The last are one net in the primitive cell, two in its supercell.
    Prototype("filled rhenium trioxide", 221, (3.75,), (
        _site("He Ne Ar ", _BODY), _site("Ti Zr Nb Mo W Re ", _O),
        _site("O F ", (0.5, 0.0, 0.0))), "disconnected"),
    Prototype("anticuprite, two nets", 224, (4.27,), (
        _site("Si Ge Ti Zr Zn Be ", _QUARTER), _site("O F N S ", _O)), "disconnected"),
    Prototype("rhenium trioxide, two nets", 229, (3.75,), (
        _site("Ti Zr Hf Nb Ta Mo W Re ", _O), _site("O N ", (0.0, 0.5, 0.5))), "disconnected"),
)
# fmt: on

#: Documents per case that prototypes make by themselves.
DECORATED = {"crystal": 2400, "layers": 150, "chains": 27, "molecules": 48, "large": 40, "disconnected": 48}

#: Documents per case that are made from those.
DERIVED = {"large supercell": 20, "duplicate": 120, "duplicate without energy": 10, "other cell": 60}


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


def _as_it_is(document: Document) -> Document:
    return document


def _stating(**values: Any) -> Callable[[Document], Document]:
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
    Defect("null gap", 10, _stating(band_gap=None)),
    Defect("null Fermi energy", 10, _stating(efermi=None)),
    Defect("Fermi energy None", 10, _stating(efermi="None")),
    Defect("null magnetisation", 10, _stating(total_magnetization=None)),
    Defect("null energy", 10, _stating(formation_energy_per_atom=None)),
    Defect("no moments", 10, _without_moments),
    Defect(
        "no optional keys", 10, _without("efermi", "energy_above_hull", "is_hubbard", "total_magnetization")
    ),
    # Absurd.
    Defect("energy NaN", 2, _stating(formation_energy_per_atom=_NAN)),
    Defect("energy 1e6", 2, _stating(formation_energy_per_atom=1e6)),
    Defect("energy -1e6", 2, _stating(formation_energy_per_atom=-1e6)),
    Defect("gap below zero", 2, _stating(band_gap=-3.0)),
    Defect("infinite Fermi energy", 2, _stating(efermi=float("inf"))),
    Defect("magnetisation 1e9", 2, _stating(total_magnetization=1e9)),
    Defect("space group 999", 2, _stating(symmetry={"number": 999})),
    Defect("another space group", 6, _stating(symmetry={"number": 2})),
    # Unreadable.
    Defect("null structure", 2, _stating(structure=None)),
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
    Defect("id seen twice", 2, _stating(material_id="demo-1")),
)

#: Documents by case.
COUNTS: dict[str, int] = DECORATED | DERIVED | {defect.case: defect.count for defect in DEFECTS}


def open_demo() -> Source:
    """Open the embedded synthetic source; opening it costs nothing, reading it a few seconds."""
    recipe = {
        "version": VERSION,
        "seed": SEED,
        "prototypes": [asdict(prototype) for prototype in PROTOTYPES],
        "counts": COUNTS,
    }
    return Source(
        identity=Identity(
            name="demo",
            database_version=None,
            sha256=hashlib.sha256(json.dumps(recipe).encode()).hexdigest(),
            licence="CC-BY-4.0",
            citation="Synthetic data of mpclean: invented crystals with made-up labels, no real material",
            synthetic=True,
        ),
        batches=_batches,
        n_documents=sum(COUNTS.values()),
    )


def _batches() -> Iterator[pa.RecordBatch]:
    return batched_documents(
        (f"demo:{i}", json.dumps(document).encode(), None) for i, document in enumerate(documents(), 1)
    )


def documents() -> Iterator[Document]:
    """Every document, the cases mixed; the same in every run.

    Yields
    ------
    dict
        In the shape of a summary document of the Materials Project.
    """
    rng = np.random.default_rng(SEED)
    recipes = list(_recipes(rng))
    for number, index in enumerate(rng.permutation(len(recipes)), 1):
        recipe = recipes[index]
        yield recipe.spoil(_document(recipe, f"demo-{number}"))


# ---------------------------------------------------------------- crystals


@dataclass(frozen=True)
class _Recipe:
    """A crystal on its way to a document."""

    case: str
    crystal: Crystal
    spacegroup: int | None = None  # where the document is to state one
    spoil: Callable[[Document], Document] = _as_it_is


def _recipes(rng: np.random.Generator) -> Iterator[_Recipe]:
    """Every crystal with its case, `COUNTS` of each."""
    n_crystals = DECORATED["crystal"]
    good = list(_decorated(rng, "crystal", n_crystals + sum(defect.count for defect in DEFECTS)))
    spare = iter(good[n_crystals:])
    good = good[:n_crystals]
    yield from good
    for case, count in DECORATED.items():
        if case != "crystal":
            yield from _decorated(rng, case, count)

    salts = _decorated(rng, "crystal", DERIVED["large supercell"], prototype="rock salt, B1")
    yield from (_Recipe("large supercell", _rattled(recell(salt.crystal, 3 * _ONE), rng)) for salt in salts)

    chosen = iter(rng.permutation(n_crystals))
    for case in ("duplicate", "duplicate without energy"):
        spoil = _as_it_is if case == "duplicate" else _stating(formation_energy_per_atom=None)
        for _ in range(DERIVED[case]):
            original = good[next(chosen)]
            yield replace(original, case=case, crystal=_breathed(original.crystal, rng, 0.01), spoil=spoil)
    for i in range(DERIVED["other cell"]):
        original = good[next(chosen)]
        again = recell(original.crystal, _OTHER_CELLS[i % len(_OTHER_CELLS)], origin=rng.random(3))
        yield replace(original, case="other cell", crystal=again)

    for defect in DEFECTS:
        for _ in range(defect.count):
            yield replace(next(spare), case=defect.case, spoil=defect.spoil)


def _decorated(
    rng: np.random.Generator, case: str, count: int, prototype: str | None = None
) -> Iterator[_Recipe]:
    """Different decorations of the prototypes of a case, the same number of each while they last."""
    queues = [
        _decorations(candidate, rng)
        for candidate in PROTOTYPES
        if candidate.case == case and prototype in (None, candidate.name)
    ]
    made = 0
    while made < count:
        queues = [queue for queue in queues if queue]
        if not queues:
            raise AssertionError(
                f"the prototypes of {case!r} have only {made} decorations, {count} are asked for"
            )
        for queue in queues[: count - made]:
            structure_type, elements = queue.pop()
            crystal = _breathed(decorate(structure_type, elements), rng, 0.03)
            if case == "crystal" and made % 3 == 2:
                yield _Recipe(case, _rattled(_strained(crystal, rng), rng))
            else:
                yield _Recipe(case, crystal, structure_type.spacegroup if made % 4 == 0 else None)
            made += 1


#: How far the loosest site may be from touching, A. Radii are decimals, and some decorations lie at 0.15
#: exactly: without the margin a last bit would decide about them, and so about all that is drawn later.
_LOOSEST = 0.15 + 1e-9


def _decorations(prototype: Prototype, rng: np.random.Generator) -> list[tuple[Prototype, tuple[str, ...]]]:
    """Every choice of different elements for the sites of a prototype, shuffled.

    Those that would leave an atom of a three-dimensional crystal rattling in a cage are left out.
    """
    choices = [
        elements
        for elements in product(*(site.elements.split() for site in prototype.sites))
        if len(set(elements)) == len(elements)
        and (prototype.case != "crystal" or _contacts(prototype, elements)[1] < _LOOSEST)
    ]
    return [(prototype, choices[i]) for i in rng.permutation(len(choices))]


def decorate(prototype: Prototype, elements: tuple[str, ...]) -> Crystal:
    """Make the primitive cell of a prototype with elements on its sites.

    Its scale is the smallest at which atoms of different sites keep the sum of their
    covalent radii; on a prototype with one site, any two atoms.

    Parameters
    ----------
    prototype
        The structure type.
    elements
        Symbols, one per site.
    """
    lattice, frac_coords, site, _ = _geometry(prototype)
    numbers = np.array([ATOMIC_NUMBERS[symbol] for symbol in elements], dtype=np.uint8)
    return Crystal(lattice * _contacts(prototype, elements)[0], numbers[site], frac_coords)


def _contacts(prototype: Prototype, elements: tuple[str, ...]) -> tuple[float, float]:
    """Find the scale at which a decorated prototype touches, and how loose its loosest site then is, A."""
    radii = COVALENT_RADII[[ATOMIC_NUMBERS[symbol] for symbol in elements]]
    touching = radii[:, None] + radii
    nearest = _geometry(prototype)[3]
    scale = (touching / nearest).max()
    return float(scale), float((nearest * scale - touching).min(axis=1).max())


@cache
def _geometry(
    prototype: Prototype,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Primitive cell of a prototype: lattice (A), coordinates, site of each atom, (S, S) distances.

    The distances set its scale, A: the shortest between different sites, infinite on the
    diagonal; that within the site where there is only one.
    """
    from moyopy import Setting, SpaceGroupType, operations_from_number

    operations = operations_from_number(prototype.spacegroup, setting=Setting.standard())
    rotations, translations = np.array(operations.rotations), np.array(operations.translations)
    centring = SpaceGroupType(prototype.spacegroup).hm_short[0]
    basis = np.array(PRIMITIVE_BASES[centring], dtype=np.float64)
    orbits = [
        (
            _unique(
                matmul(matmul(rotations, np.array(position)[:, None])[..., 0] + translations, inverse(basis))
            ),
            index,
        )
        for index, site in enumerate(prototype.sites)
        for position in site.positions
    ]
    lattice = matmul(basis, _cell_vectors(prototype))
    frac_coords = np.concatenate([orbit for orbit, _ in orbits])
    site = np.repeat([index for _, index in orbits], [len(orbit) for orbit, _ in orbits])

    graph = radius_graph(Crystal(lattice, np.ones(len(site), dtype=np.uint8), frac_coords), 6.0)
    nearest = np.full((len(prototype.sites), len(prototype.sites)), np.inf)
    counts = (site[graph.source] != site[graph.target]) | (len(prototype.sites) == 1)
    np.minimum.at(nearest, (site[graph.source][counts], site[graph.target][counts]), graph.length[counts])
    return lattice, frac_coords, site, nearest


def _cell_vectors(prototype: Prototype) -> NDArray[np.float64]:
    """Rows a, b, c of the conventional cell, A."""
    number, cell = prototype.spacegroup, prototype.cell
    if number >= 195:  # cubic
        return cell[0] * np.eye(3)
    if number >= 143:  # trigonal and hexagonal, on hexagonal axes
        a, c = cell
        return np.array([[a, 0.0, 0.0], [-a / 2, a * np.sqrt(3.0) / 2, 0.0], [0.0, 0.0, c]])
    if number >= 75:  # tetragonal
        return np.diag([cell[0], cell[0], cell[1]])
    return np.diag(cell)


def _unique(frac_coords: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows that differ modulo 1, in [0, 1), in an order that does not depend on rounding."""
    inside = np.round(frac_coords % 1.0, 6) % 1.0
    _, first = np.unique(inside, axis=0, return_index=True)
    return frac_coords[first] % 1.0


def _breathed(crystal: Crystal, rng: np.random.Generator, amount: float) -> Crystal:
    """All lengths changed by the same random part of at most `amount`."""
    return replace(crystal, lattice=crystal.lattice * (1.0 + amount * _symmetric(rng)))


def _strained(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Draw a random strain of at most 2 % in every component."""
    strain = 0.02 * _symmetric(rng, 3, 3)
    return replace(crystal, lattice=matmul(crystal.lattice, np.eye(3) + (strain + strain.T) / 2))


def _rattled(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Every atom displaced by at most 0.15 A along each axis."""
    displacement = 0.15 * _symmetric(rng, len(crystal), 3)
    return replace(crystal, frac_coords=crystal.frac_coords + matmul(displacement, inverse(crystal.lattice)))


def _symmetric(rng: np.random.Generator, *shape: int) -> Any:
    """Uniform in [-1, 1). Only `random` and `permutation` are drawn, whose streams numpy keeps stable."""
    return 2.0 * rng.random(shape) - 1.0


_ONE = np.eye(3, dtype=np.int64)

#: A supercell, the cell of a face-centred lattice, and another basis of the same cell.
_OTHER_CELLS = (
    np.diag([1, 1, 2]),
    np.array([[1, 1, -1], [1, -1, 1], [-1, 1, 1]]),
    np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1]]),
)


def recell(crystal: Crystal, basis: NDArray[np.int64], origin: NDArray[np.float64] | float = 0.0) -> Crystal:
    """Write the same crystal in another cell.

    Parameters
    ----------
    crystal
        Any crystal.
    basis
        (3, 3) integers; row i is new cell vector i in units of the old ones.
    origin
        (3,) shift of all atoms, in units of the old cell vectors.
    """
    new = inverse(basis)
    reach = int(np.abs(basis).sum())
    cells = np.array(list(product(range(-reach, reach + 1), repeat=3)))
    place = matmul(cells, new)
    cells = cells[np.all((place > -1e-9) & (place < 1.0 - 1e-9), axis=1)]
    moved = (crystal.frac_coords + origin)[:, None, :] + cells
    return Crystal(
        matmul(basis, crystal.lattice),
        np.repeat(crystal.atomic_numbers, len(cells)),
        matmul(moved.reshape(-1, 3), new) % 1.0,
    )


# ---------------------------------------------------------------- labels and documents


@cache
def _electronegativities() -> NDArray[np.float64]:
    """Pauling's values by atomic number, shape (119,); 0 where there is none."""
    from pymatgen.core import Element

    without = {"He", "Ne", "Ar"}  # pymatgen warns of each
    placed = {
        symbol for prototype in PROTOTYPES for site in prototype.sites for symbol in site.elements.split()
    }
    return np.array([Element(symbol).X if symbol in placed - without else 0.0 for symbol in SYMBOLS])


def _unpaired(atomic_numbers: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Unpaired electrons: d^n of the dipositive ion for Ca to Zn, f^n of the tripositive one for La to Lu."""
    z = atomic_numbers.astype(np.float64)
    return np.maximum(0.0, np.maximum(np.minimum(z - 20, 30 - z), np.minimum(z - 57, 71 - z)))


def labels(crystal: Crystal) -> tuple[Document, NDArray[np.float64]]:
    """Make up the labels of a crystal, by the closed form of the module's docstring.

    Returns
    -------
    labels
        Under the keys of a summary document, in its units.
    moments
        (n,) muB.
    """
    n = len(crystal)
    x, r = _electronegativities()[crystal.atomic_numbers], COVALENT_RADII[crystal.atomic_numbers]
    graph = radius_graph(crystal, min(2 * r.max() + BOND_TOLERANCE, MAX_BOND_LENGTH))
    i, j = graph.source, graph.target
    s = graph.length - r[i] - r[j]
    # Of `math`: numpy's cosine has other last digits on processors with AVX-512.
    turn = np.array([math.cos(x) for x in np.pi * np.clip(s / BOND_TOLERANCE, 0.0, 1.0)])
    w = (1.0 + turn) / 2.0
    polar = w * (x[i] - x[j]) ** 2

    bonds = np.maximum(np.bincount(i, w, minlength=n), 1e-12)  # an atom without bonds is not ionic
    own_ionicity = np.bincount(i, polar, minlength=n) / bonds
    strain = 0.5 * r.var() / r.mean() ** 2 + 0.15 * (w * s**2).sum() / n
    moments = _unpaired(crystal.atomic_numbers) * own_ionicity / (1.0 + own_ionicity)
    symbols = {SYMBOLS[z] for z in crystal.atomic_numbers}
    values = {
        "formation_energy_per_atom": strain - 0.1 * polar.sum() / n,
        "energy_above_hull": strain,
        "band_gap": max(0.0, 1.4 * (polar.sum() / bonds.sum() - 1.2)),
        "efermi": 1.5 * x.mean() + 30.0 * (n / crystal.volume) ** (2 / 3) - 3.0,
        "total_magnetization": moments.sum(),
    }
    hubbard = bool(symbols & {"O", "F"} and symbols & {"Co", "Cr", "Fe", "Mn", "Mo", "Ni", "V", "W"})
    # Rounded, so that the last bit of a cosine does not depend on the platform.
    return {key: round(float(value), 6) for key, value in values.items()} | {"is_hubbard": hubbard}, moments


def _document(recipe: _Recipe, material_id: str) -> Document:
    """Make a summary document."""
    crystal = replace(
        recipe.crystal,
        lattice=np.round(recipe.crystal.lattice, 8),
        frac_coords=np.round(recipe.crystal.frac_coords % 1.0, 8),
    )
    values, moments = labels(crystal)
    structure = {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "lattice": {"matrix": crystal.lattice.tolist()},
        "sites": [
            {
                "species": [{"element": SYMBOLS[z], "occu": 1}],
                "abc": abc,
                "properties": {"magmom": round(moment, 3)},
            }
            for z, abc, moment in zip(
                crystal.atomic_numbers, crystal.frac_coords.tolist(), moments.tolist(), strict=True
            )
        ],
    }
    stated = {} if recipe.spacegroup is None else {"symmetry": {"number": recipe.spacegroup}}
    return {
        "material_id": material_id,
        "synthetic": True,
        "case": recipe.case,
        "nsites": len(crystal),
        "structure": structure,
        **values,
        **stated,
    }
