"""Formulas, and the doors to other packages."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Element, Lattice, Structure

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.formula import formula, reduced_formula
from mpclean.errors import UserError
from mpclean.vocabulary.elements import ATOMIC_NUMBERS, SYMBOLS


@pytest.fixture
def crystal():
    lattice = np.array([[3.0, 0.1, 0.0], [0.2, 4.0, 0.3], [0.0, -0.4, 5.0]])
    coords = np.array([[0.1, 0.2, 0.3], [-0.6, 1.7, 0.9]])
    return Crystal(lattice, np.array([26, 8], dtype=np.uint8), coords, np.array([2.5, -0.1]))


def test_symbols_are_pymatgens():
    assert [Element(symbol).Z for symbol in SYMBOLS[1:]] == list(range(1, 119))


# Noble gases and a few others have no electronegativity, and pymatgen then no order.
_WITH_X = [z for z in range(1, 95) if z not in (2, 10, 18)]


@settings(max_examples=80)
@given(st.dictionaries(st.sampled_from(_WITH_X), st.integers(1, 9), min_size=1, max_size=5))
def test_formula_counts_by_rising_electronegativity(counts):
    numbers = np.array([z for z, count in counts.items() for _ in range(count)], dtype=np.uint8)
    written = formula(numbers)
    assert Composition(written) == Composition({SYMBOLS[z]: count for z, count in counts.items()})
    symbols = [part.rstrip("0123456789") for part in written.split()]
    assert [Element(s).X for s in symbols] == sorted(Element(s).X for s in symbols)
    assert formula(numbers[::-1]) == written


@pytest.mark.parametrize("name", ["Na4 Cl4", "Li9 Mn2 Co5 O16", "C1 H4", "Si1", "Ba1 Ti1 O3", "Cs2 Ag1 Bi1"])
def test_formula_is_pymatgens(name):
    composition = Composition(name)
    numbers = [Element(el.symbol).Z for el, count in composition.items() for _ in range(int(count))]
    assert formula(np.array(numbers, dtype=np.uint8)) == composition.formula


@pytest.mark.parametrize(
    ("cell", "reduced"),
    [
        ("Na4 Cl4", "NaCl"),
        ("Fe2 O3", "Fe2O3"),
        ("Fe4 O6", "Fe2O3"),
        ("Cu1", "Cu"),
        ("N8", "N"),
        ("Li9 Mn2 Co5 O16", "Li9Mn2Co5O16"),
        ("K10 C20", "KC2"),
    ],
)
def test_reduced_formula(cell, reduced):
    assert reduced_formula(cell) == reduced


def test_volume(crystal):
    assert crystal.volume == pytest.approx(Lattice(crystal.lattice).volume)
    mirrored = Crystal(-crystal.lattice, crystal.atomic_numbers, crystal.frac_coords)
    assert mirrored.volume == pytest.approx(crystal.volume)


def test_pymatgen_and_back(crystal):
    structure = crystal.to_pymatgen()
    assert [site.specie.symbol for site in structure] == ["Fe", "O"]
    assert structure.site_properties["magmom"] == [2.5, -0.1]
    again = Crystal.from_pymatgen(structure)
    for name in ("lattice", "atomic_numbers", "frac_coords", "magnetic_moments"):
        np.testing.assert_allclose(getattr(again, name), getattr(crystal, name), atol=1e-15, rtol=0)


def test_moments_are_known_for_all_atoms_or_none(crystal):
    structure = crystal.to_pymatgen()
    structure.add_site_property("magmom", [2.5, None])
    assert Crystal.from_pymatgen(structure).magnetic_moments is None


def test_oxidation_states_are_elements():
    structure = Structure(Lattice.cubic(3), ["Fe2+", "O2-"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert Crystal.from_pymatgen(structure).atomic_numbers.tolist() == [26, 8]


def test_disordered_structure():
    structure = Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    with pytest.raises(UserError, match=r"partial occupancies: site 0: Fe 0\.5, Ni 0\.5; order"):
        Crystal.from_pymatgen(structure)


def test_dummy_species_is_no_element():
    with pytest.raises(UserError):
        Crystal.from_pymatgen(Structure(Lattice.cubic(3), ["X"], [[0, 0, 0]]))


def test_ase(crystal):
    atoms = Atoms("FeO", cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True)
    again = Crystal.from_ase(atoms)
    assert again.atomic_numbers.tolist() == [ATOMIC_NUMBERS["Fe"], ATOMIC_NUMBERS["O"]]
    np.testing.assert_allclose(again.lattice, crystal.lattice)
    np.testing.assert_allclose(again.frac_coords, crystal.frac_coords)  # not wrapped


def test_to_ase(crystal):
    atoms = crystal.to_ase()
    assert atoms.pbc.all()
    np.testing.assert_allclose(atoms.get_magnetic_moments(), crystal.magnetic_moments)
    again = Crystal.from_ase(atoms)
    np.testing.assert_allclose(again.lattice, crystal.lattice, rtol=1e-12)
    np.testing.assert_allclose(again.frac_coords, crystal.frac_coords, atol=1e-12)
    assert again.atomic_numbers.tolist() == crystal.atomic_numbers.tolist()
    assert replace(crystal, magnetic_moments=None).to_ase().calc is None


@pytest.mark.parametrize("moments", [None, [2.5, -0.1]])
def test_from_row(crystal, moments):
    row = {
        "lattice": crystal.lattice.ravel().tolist(),
        "atomic_numbers": crystal.atomic_numbers.tolist(),
        "frac_coords": crystal.frac_coords.ravel().tolist(),
        "magnetic_moments": moments,
    }
    again = Crystal.from_row(row)
    assert again.lattice.tolist() == crystal.lattice.tolist()
    assert again.frac_coords.tolist() == crystal.frac_coords.tolist()
    assert again.atomic_numbers.dtype == np.uint8
    assert (None if again.magnetic_moments is None else again.magnetic_moments.tolist()) == moments


def test_ase_slab_is_not_periodic(crystal):
    atoms = Atoms("FeO", cell=crystal.lattice, positions=np.zeros((2, 3)), pbc=(True, True, False))
    with pytest.raises(UserError, match="not periodic in three directions: pbc = "):
        Crystal.from_ase(atoms)


@pytest.mark.parametrize("other", ["NaCl.cif", {"lattice": 1}])
def test_what_is_no_structure(other):
    with pytest.raises(UserError, match="where a periodic Structure of pymatgen, Atoms of ASE"):
        Crystal.from_pymatgen(other)
