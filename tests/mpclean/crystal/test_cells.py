"""One cell per crystal, however it is written."""

from functools import cache

import moyopy
import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st
from moyopy import SpaceGroupType
from pymatgen.core import Lattice, Structure

from mpclean.crystal.bonding.voronoi import voronoi_faces
from mpclean.crystal.bravais import BRAVAIS_TYPES, bravais_type, point_group
from mpclean.crystal.cells import (
    CELL_TOLERANCE,
    IMAGE_TOLERANCE,
    SymmetryError,
    canonical_cell,
    pearson_symbols,
    primitive_cell,
    spacegroup_number,
)
from mpclean.crystal.crystal import Crystal

_GENERIC = (0.137, 0.218, 0.359)

# Special positions of well-known structure types; space groups that are not here get one atom
# in a general position and one more.
_TYPES = {
    63: (("B", "Cr"), [(0, 0.436, 0.25), (0, 0.146, 0.25)]),  # CrB
    139: (("Ti", "Al"), [(0, 0, 0), (0, 0, 0.5)]),
    166: (("Bi", "Te", "Te"), [(0, 0, 0.4), (0, 0, 0.21), (0, 0, 0)]),  # Bi2Te3
    194: (("Ni", "As"), [(0, 0, 0), (1 / 3, 2 / 3, 0.25)]),  # NiAs
    216: (("Zn", "S"), [(0, 0, 0), (0.25,) * 3]),  # a general position would put atoms 0.05 A apart
    221: (("Sr", "Ti", "O"), [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]),
    225: (("Na", "Cl"), [(0, 0, 0), (0.5, 0.5, 0.5)]),
    227: (("Mg", "Al", "O"), [(0.125,) * 3, (0.5,) * 3, (0.262,) * 3]),  # spinel
    229: (("W",), [(0, 0, 0)]),
}

# All types; A-centred groups 38 to 41; without improper operations 1, 4, 5, 19, 22, 23, 92, 96,
# 143, 146, 152, 154, 155, 198, 212, 213.
GROUPS = (
    *(1, 2, 4, 14, 5, 8, 12, 15, 19, 62, 63, 20, 38, 39, 40, 41, 22, 43, 70, 23, 44, 72),
    *(92, 96, 136, 87, 122, 139, 146, 155, 161, 166, 143, 152, 154, 186, 194),
    *(198, 212, 213, 221, 217, 229, 216, 225, 227),
)
CHIRAL = (1, 4, 5, 19, 22, 23, 92, 96, 143, 146, 152, 154, 155, 198, 212, 213)

# Atoms per conventional cell and per primitive cell.
POINTS = {"P": 1, "A": 2, "C": 2, "I": 2, "F": 4, "R": 3}


def cell_of(number):
    a, b, c = 6.1, 7.3, 8.7
    if number <= 2:
        return Lattice.from_parameters(a, b, c, 77, 83, 101)
    if number <= 15:
        return Lattice.monoclinic(a, b, c, 104)
    if number <= 74:
        return Lattice.orthorhombic(b, c, a)  # not in the order of their lengths
    if number <= 142:
        return Lattice.tetragonal(a, c)
    return Lattice.hexagonal(a, c) if number <= 194 else Lattice.cubic(c)


@cache
def prototype(number):
    """A structure in the conventional cell of a space group."""
    species, coords = _TYPES.get(number, (("Fe", "O"), [_GENERIC, (0.391, 0.062, 0.733)]))
    structure = Structure.from_spacegroup(SpaceGroupType(number).hm_short, cell_of(number), species, coords)
    return Crystal.from_pymatgen(structure)


@cache
def canonical_prototype(number):
    return canonical_cell(prototype(number))


def assert_same_cell(found, expected):
    assert found.bravais_lattice == expected.bravais_lattice
    np.testing.assert_array_equal(found.crystal.atomic_numbers, expected.crystal.atomic_numbers)
    np.testing.assert_allclose(found.crystal.lattice, expected.crystal.lattice, atol=1e-6)
    np.testing.assert_allclose(found.crystal.frac_coords, expected.crystal.frac_coords, atol=1e-6)


def neighbour_distances(crystal):
    faces = voronoi_faces(crystal.lattice, crystal.frac_coords)
    return faces.length[faces.area >= 1e-4]


def mirrored(crystal):
    return Crystal(crystal.lattice * [1.0, 1.0, -1.0], crystal.atomic_numbers, crystal.frac_coords)


def test_prototypes_cover_all_types():
    found = {bravais_type(n, SpaceGroupType(n).hm_short[0]) for n in GROUPS}
    assert found == set(BRAVAIS_TYPES)


@pytest.mark.parametrize("number", GROUPS)
def test_canonical_cell_does_not_depend_on_the_writing(number, rewrite):
    crystal = prototype(number)
    centring = SpaceGroupType(number).hm_short[0]
    expected = canonical_prototype(number)
    assert expected.bravais_lattice == bravais_type(number, centring)
    assert len(expected.crystal) * POINTS[centring] == len(crystal)
    assert spacegroup_number(expected.crystal, 1e-3) == number
    rng = np.random.default_rng(number)
    for how in ("supercell", "mirrored basis"):
        assert_same_cell(canonical_cell(rewrite(crystal, rng, how)), expected)


@pytest.mark.parametrize("number", GROUPS)
def test_canonical_cell_keeps_the_distances(number):
    crystal = prototype(number)
    found = canonical_prototype(number).crystal
    factor = len(crystal) // len(found)
    # Neighbours without the condition on their distance, so that there are some in every crystal.
    before, after = (np.sort(neighbour_distances(c)) for c in (crystal, found))
    assert len(before) >= 4 * len(crystal)
    np.testing.assert_allclose(before, np.repeat(after, factor), atol=1e-6)


@pytest.mark.parametrize("number", GROUPS)
def test_basis_is_that_of_the_type(number):
    """The holohedry of the table keeps the metric, which fixes the form of the basis."""
    cell = canonical_prototype(number)
    metric = cell.crystal.lattice @ cell.crystal.lattice.T
    for operation in point_group(cell.bravais_lattice):
        np.testing.assert_allclose(operation.T @ metric @ operation, metric, atol=1e-4)


@pytest.mark.parametrize("number", GROUPS)
def test_convention(number):
    cell = canonical_prototype(number).crystal
    assert (cell.lattice[np.triu_indices(3, 1)] == 0).all()  # a along x, b in the xy plane
    assert (np.diag(cell.lattice) > 0).all()  # right-handed
    assert (cell.frac_coords >= -IMAGE_TOLERANCE).all()
    assert (cell.frac_coords < 1 - IMAGE_TOLERANCE).all()
    assert (np.diff(cell.atomic_numbers.astype(int)) >= 0).all()
    counts = np.bincount(cell.atomic_numbers)[cell.atomic_numbers]
    rarest = cell.frac_coords[counts == counts.min()]
    assert np.abs(rarest).max(axis=1).min() < 1e-6  # one is the origin
    if number in (19, 62, 136):  # a primitive orthorhombic or tetragonal cell is a box
        assert np.abs(cell.lattice - np.diag(np.diag(cell.lattice))).max() < 1e-9
        if number != 136:
            assert (np.diff(np.diag(cell.lattice)) > 0).all()


@pytest.mark.parametrize("number", CHIRAL)
def test_mirror_images_of_chiral_crystals_stay_different(number, rewrite):
    crystal = prototype(number)
    one, other = canonical_prototype(number), canonical_cell(mirrored(crystal))
    np.testing.assert_allclose(np.linalg.det(one.crystal.lattice), np.linalg.det(other.crystal.lattice))
    same = np.allclose(one.crystal.lattice, other.crystal.lattice, atol=1e-6) and np.allclose(
        one.crystal.frac_coords, other.crystal.frac_coords, atol=1e-4
    )
    assert not same
    assert_same_cell(canonical_cell(rewrite(mirrored(crystal), np.random.default_rng(1))), other)


@pytest.mark.parametrize(("number", "partner"), [(152, 154), (92, 96), (212, 213)])
def test_handedness_of_screw_axes(number, partner):
    crystal = prototype(number)
    assert spacegroup_number(canonical_cell(crystal).crystal, 1e-3) == number
    assert spacegroup_number(canonical_cell(mirrored(crystal)).crystal, 1e-3) == partner


@pytest.mark.parametrize("number", [2, 14, 62, 166, 225])
def test_mirror_images_of_other_crystals_are_the_same(number):
    crystal = prototype(number)
    assert_same_cell(canonical_cell(mirrored(crystal)), canonical_prototype(number))


@pytest.mark.parametrize("number", GROUPS)
def test_canonical_cell_of_a_canonical_cell(number):
    cell = canonical_prototype(number)
    assert_same_cell(canonical_cell(cell.crystal, cell.bravais_lattice), cell)


@pytest.mark.parametrize("noise", [1e-6, 1e-3])
@pytest.mark.parametrize("number", [2, 41, 70, 136, 152, 166, 194, 221, 229])
def test_almost_symmetric_crystals(number, noise, rewrite):
    """Symmetry that holds to the tolerance only leaves ties that rounding could break either way."""
    crystal = canonical_prototype(number).crystal
    rng = np.random.default_rng(number)
    displaced = crystal.frac_coords @ crystal.lattice + noise * rng.uniform(-1, 1, (len(crystal), 3))
    lattice = crystal.lattice + noise * rng.uniform(-1, 1, (3, 3)) / 5
    crystal = Crystal(lattice, crystal.atomic_numbers, displaced @ np.linalg.inv(lattice))
    expected = canonical_cell(crystal)
    for _ in range(3):
        assert_same_cell(canonical_cell(rewrite(crystal, rng)), expected)


@pytest.mark.parametrize("number", GROUPS)
def test_short_decimals(number, rewrite):
    """Files round coordinates, so that atoms come to lie at exactly -0.00001 or on a step of a grid."""
    crystal = canonical_prototype(number).crystal
    rng = np.random.default_rng(number)
    coords = crystal.frac_coords + 5e-5 * rng.uniform(-1, 1, (len(crystal), 3))
    rounded = Crystal(np.round(crystal.lattice, 5), crystal.atomic_numbers, np.round(coords, 5))
    expected = canonical_cell(rounded)
    for _ in range(3):
        assert_same_cell(canonical_cell(rewrite(rounded, rng)), expected)


def test_last_digits_move_no_atom_to_another_image():
    """Atoms that belong at 0 are written there, whichever side of it rounding left them on."""
    crystal = canonical_prototype(221).crystal
    assert set(np.rint(1e6 * crystal.frac_coords).ravel()) == {0, 5e5}
    rng = np.random.default_rng(0)
    for _ in range(5):
        coords = crystal.frac_coords + 4e-4 * rng.uniform(-1, 1, (len(crystal), 3))
        moved = canonical_cell(Crystal(crystal.lattice, crystal.atomic_numbers, coords)).crystal
        assert moved.frac_coords.max() < 0.6


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_crystals_without_symmetry(seed, rewrite):
    rng = np.random.default_rng(seed)
    lattice = 5.0 * np.eye(3) + rng.uniform(-1, 1, (3, 3))
    grid = np.array([[0.1, 0.1, 0.1], [0.6, 0.1, 0.2], [0.1, 0.6, 0.7], [0.6, 0.6, 0.5]])
    moments = rng.normal(size=4)
    crystal = Crystal(
        lattice, np.array([3, 8, 8, 26], dtype=np.uint8), grid + 0.2 * rng.random((4, 3)), moments
    )
    expected = canonical_cell(crystal)
    for how in ("basis", "mirrored basis"):
        found = canonical_cell(rewrite(crystal, rng, how))
        assert_same_cell(found, expected)
        np.testing.assert_array_equal(found.crystal.magnetic_moments, expected.crystal.magnetic_moments)


def test_triclinic_basis_has_the_shortest_vectors(rewrite):
    crystal = prototype(2)
    lattice = canonical_cell(rewrite(crystal, np.random.default_rng(3))).crystal.lattice
    # Minkowski: the lengths of a Buerger cell are the successive minima.
    np.testing.assert_allclose(
        np.linalg.norm(lattice, axis=1), Lattice(crystal.lattice).get_niggli_reduced_lattice().abc, atol=1e-6
    )


def test_moments_follow_their_atoms(rewrite):
    crystal = prototype(1)
    crystal = Crystal(crystal.lattice, crystal.atomic_numbers, crystal.frac_coords, np.array([4.5, -0.25]))
    for seed, how in enumerate(("basis", "supercell", "mirrored basis")):
        cell = canonical_cell(rewrite(crystal, np.random.default_rng(seed), how)).crystal
        by_element = dict(zip(cell.atomic_numbers.tolist(), cell.magnetic_moments, strict=True))
        assert by_element == pytest.approx({26: 4.5, 8: -0.25})


def doubled(moments, displacement=0.0):
    """A body-centred cubic cell of iron in two atoms, with moments."""
    coords = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5 + displacement]])
    return Crystal(2.87 * np.eye(3), np.array([26, 26], dtype=np.uint8), coords, np.array(moments))


def test_folded_moments_are_averaged():
    cell = canonical_cell(doubled([2.2, 2.26])).crystal
    assert len(cell) == 1
    assert cell.magnetic_moments == pytest.approx([2.23])


def test_moments_that_conflict_become_unknown():
    cell = canonical_cell(doubled([2.2, -2.2])).crystal
    assert len(cell) == 1
    assert cell.magnetic_moments is None


def test_no_moments_stay_unknown():
    assert canonical_cell(prototype(62)).crystal.magnetic_moments is None


def test_folded_positions_are_averaged_and_nothing_else_moves():
    shift = 0.4 * CELL_TOLERANCE / 2.87
    cell = primitive_cell(doubled([0.0, 0.0], shift)).crystal
    assert len(cell) == 1
    # Half of the displacement, along z.
    position = cell.frac_coords @ cell.lattice
    nearest = position - np.rint(position / 2.87 * 2) * 2.87 / 2
    np.testing.assert_allclose(np.abs(nearest), [[0, 0, shift * 2.87 / 2]], atol=1e-9)


def test_cell_tolerance_is_tight():
    """A displacement of 0.05 A is a superstructure here; the space group, at 0.1 A, does not see it."""
    crystal = doubled([0.0, 0.0], 0.05 / 2.87)
    assert len(primitive_cell(crystal).crystal) == 2
    assert canonical_cell(crystal).bravais_lattice == "tP"
    assert spacegroup_number(crystal) == 229


def perovskite(lattice, shift=(0.0, 0.0, 0.0)):
    """Cubic SrTiO3 in another lattice, titanium moved by fractions of the cell."""
    coords = np.array([[0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    coords[0] += shift
    return Crystal(np.array(lattice, dtype=float), np.array([22, 38, 8, 8, 8], dtype=np.uint8), coords)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("difference", "symbols"),
    [
        (0.004, ("cP5",)),
        (0.006, ("tP5", "cP5")),
        (CELL_TOLERANCE, ("tP5", "cP5")),
        (0.014, ("tP5", "cP5")),
        (0.03, ("tP5",)),
    ],
)
def test_tetragonal_within_tolerance_of_cubic_is_in_doubt(difference, symbols, sign, rewrite):
    crystal = perovskite(np.diag([4.0, 4.0, 4.0 + sign * difference]))
    expected = canonical_cell(crystal)
    rng = np.random.default_rng(0)
    for how in ("basis", "supercell", "mirrored basis") * 4:
        other = rewrite(crystal, rng, how)
        assert pearson_symbols(other) == symbols
        assert_same_cell(canonical_cell(other), expected)


@pytest.mark.parametrize(
    ("lattice", "shift", "symbols"),
    [
        ([[4, 0, 0], [0, 5, 0], [-0.008, 0, 6]], (0, 0, 0), ("mP5", "oP5")),
        ([[4, 0, 0], [0, 5, 0], [-0.1, 0, 6]], (0, 0, 0), ("mP5",)),
        (4 * np.eye(3), (0, 0, 0.002), ("tP5", "cP5")),
        (4 * np.eye(3), (0.0007, 0.0013, 0.002), ("aP5", "cP5")),
        (4 * np.eye(3), (0.007, 0.013, 0.02), ("aP5",)),
    ],
)
def test_symmetry_within_tolerance_is_in_doubt(lattice, shift, symbols):
    assert pearson_symbols(perovskite(lattice, shift)) == symbols


def test_a_primitive_cell_within_tolerance_of_half_of_it_is_in_doubt():
    assert pearson_symbols(doubled([0.0, 0.0], 1.2 * CELL_TOLERANCE / 2.87)) == ("tP2", "cI2")
    assert pearson_symbols(doubled([0.0, 0.0], 5 * CELL_TOLERANCE / 2.87)) == ("tP2",)


def test_a_tolerance_that_is_too_loose_has_no_symbol():
    """Atoms are as far apart as the search needs at 0.01 A, but not at twice that."""
    coords = np.array([[0.0, 0.0, 0.0], [0.01, 0.0, 0.0]])
    crystal = Crystal(np.diag([3.0, 4.0, 5.0]), np.array([26, 26], dtype=np.uint8), coords)
    assert pearson_symbols(crystal) == ("oP2",)


@pytest.mark.parametrize("number", GROUPS)
def test_prototypes_are_in_no_doubt(number):
    crystal = prototype(number)
    centring = SpaceGroupType(number).hm_short[0]
    assert pearson_symbols(crystal) == (f"{bravais_type(number, centring)}{len(crystal)}",)


def test_space_group_is_spglibs():
    for number in (14, 62, 152, 225):
        crystal = prototype(number)
        cell = (crystal.lattice, crystal.frac_coords, crystal.atomic_numbers)
        expected = spglib.get_symmetry_dataset(cell, symprec=0.1).number
        assert spacegroup_number(crystal) == spacegroup_number(crystal, tight=number) == expected == number


def test_a_space_group_that_depends_on_the_tolerance_is_spglibs():
    """Tetragonal by 0.02 A, so cubic at the tolerance of the space group."""
    cubic = prototype(221)
    crystal = Crystal(cubic.lattice + np.diag([0.0, 0.0, 0.02]), cubic.atomic_numbers, cubic.frac_coords)
    tight = primitive_cell(crystal).spacegroup_number
    assert tight == 123
    assert spacegroup_number(crystal, tight=tight) == 221


def test_atoms_that_overlap():
    crystal = Crystal(
        3.0 * np.eye(3), np.array([26, 26], dtype=np.uint8), np.array([[0.0] * 3, [1e-4, 0, 0]])
    )
    with pytest.raises(SymmetryError):
        primitive_cell(crystal)
    assert pearson_symbols(crystal) == ()
    assert spacegroup_number(crystal) is None


@pytest.mark.parametrize("turned", [np.eye(3), [[1, 0, 0], [7, 1, 0], [0, 3, 1]]])
def test_a_cell_whose_symmetry_search_would_not_end(monkeypatch, turned):
    """Such a search takes all memory, and no wall clock is as sure as not to begin it."""
    monkeypatch.setattr(moyopy, "MoyoDataset", lambda *_, **__: pytest.fail("it began"))
    lattice = turned @ np.array([[0.0, 3508.6, 3508.6], [-0.54, 0.0, -0.54], [2.9, 2.9, 0.0]])
    crystal = Crystal(lattice, np.array([30, 16]), np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]]))
    with pytest.raises(SymmetryError, match=r"a cell of \d+ A by 0\.76\d* A is too long and thin"):
        primitive_cell(crystal)


def test_a_long_cell_has_its_symmetry():
    """Polytypes are a hundred times as long as wide; and a basis may be sheared."""
    lattice = np.diag([3.1, 3.1, 300.0])
    for turn in (np.eye(3), np.array([[1, 0, 0], [0, 1, 0], [500, 0, 1]])):
        crystal = Crystal(turn @ lattice, np.array([14]), np.zeros((1, 3)))
        assert primitive_cell(crystal).bravais_lattice == "tP"


def test_what_moyo_warns_of_changes_no_crystal(caplog):
    """Atoms that it moves far are those of positions that it idealises, and that nobody takes from it."""
    lattice = np.array([[3.5132, 0.0008, 0.0002], [-0.0004, 3.5136, 0.0003], [-0.0001, -0.0006, 3.5127]])
    places = [
        [0.7499, 0.0001, 0.0],
        [0.5001, -0.0001, 0.0],
        [0.4999, 0.0002, 0.2502],
        [0.5, 0.5001, 0.0],
        [0.5002, 0.0, 0.0],
    ]
    crystal = Crystal(lattice, np.full(5, 3, np.uint8), np.array(places))
    caplog.set_level("WARNING", "moyo")
    found = primitive_cell(crystal).crystal
    said = [record.getMessage() for record in caplog.records]
    assert said
    assert all(line.startswith("Large displacement") for line in said)
    assert found.volume == pytest.approx(crystal.volume, rel=1e-9)
    assert distances(found) == pytest.approx(distances(crystal), abs=4 * CELL_TOLERANCE)


def distances(crystal):
    """All distances between atoms within 4 A, in order."""
    return np.sort(crystal.to_pymatgen().get_neighbor_list(4.0)[3])
