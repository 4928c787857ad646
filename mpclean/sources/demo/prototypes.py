"""Structure types, and the elements that go on their sites."""

from __future__ import annotations

from dataclasses import dataclass

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
