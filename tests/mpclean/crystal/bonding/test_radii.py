"""The radii are pymatgen's choice of Cordero's values."""

import numpy as np
from pymatgen.analysis.molecule_structure_comparator import CovalentRadius

from mpclean.crystal.bonding.radii import COVALENT_RADII
from mpclean.vocabulary.elements import SYMBOLS


def test_radii_are_pymatgens():
    known = {SYMBOLS[z]: radius for z, radius in enumerate(COVALENT_RADII) if not np.isnan(radius)}
    assert known == CovalentRadius.radius


def test_values_that_other_tables_have_otherwise():
    found = [COVALENT_RADII[SYMBOLS.index(symbol)] for symbol in ("C", "Mn", "Fe", "Co")]
    assert found == [0.73, 1.50, 1.42, 1.38]


def test_nothing_beyond_curium():
    assert COVALENT_RADII.shape == (119,)
    assert np.isnan(COVALENT_RADII[[0, *range(97, 119)]]).all()
    assert not np.isnan(COVALENT_RADII[1:97]).any()
