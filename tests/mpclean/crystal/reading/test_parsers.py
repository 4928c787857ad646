"""What other parsers say is a reason, unless it is on the short list."""

import warnings

import numpy as np
import pytest
from pymatgen.core import Element
from pymatgen.io.vasp import Poscar

from mpclean.crystal.reading.facts import MALFORMED
from mpclean.crystal.reading.parsers import ABOUT_CODE, HARMLESS, WARNED, heard
from mpclean.errors import RecordError

FLUORIDE = """salt
1.0
4 0 0
0 4 0
0 0 4
Li F
1 1
Selective dynamics
Direct
0 0 0 T T T
0.5 0.5 0.5 {flags}
"""


def silently(text):
    with heard("POSCAR"):
        return Poscar.from_str(text)


def test_a_warning_is_a_reason_in_its_own_words():
    with pytest.raises(RecordError) as caught, heard("a parser"):
        warnings.warn("Occupancy 1.0001\nexceeded tolerance", UserWarning, stacklevel=1)
    assert caught.value.reason == WARNED
    assert caught.value.detail == "a parser: Occupancy 1.0001 exceeded tolerance"


def test_a_warning_before_an_error_is_told_with_it():
    @heard("a parser")
    def parse():
        warnings.warn("Occupancy 1.0001 exceeded tolerance", UserWarning, stacklevel=1)
        raise ValueError("Invalid CIF file with no structures!")

    with pytest.raises(RecordError) as caught:
        parse()
    assert caught.value.reason == MALFORMED
    assert caught.value.detail == (
        "a parser: Occupancy 1.0001 exceeded tolerance; Invalid CIF file with no structures!"
    )


@pytest.mark.parametrize("category", ABOUT_CODE)
def test_warnings_about_code_are_harmless(category):
    with heard("a parser"):
        warnings.warn("will be removed", category, stacklevel=1)


#: For each harmless pattern, what makes a library say it.
SAYS = {
    HARMLESS[0]: lambda: Poscar.from_str(FLUORIDE.format(flags="T T T")),
    HARMLESS[1]: lambda: Poscar.from_str(FLUORIDE.format(flags="T T F F")),
    HARMLESS[2]: lambda: Element("He").X,
}


@pytest.mark.parametrize("pattern", HARMLESS)
def test_harmless_warnings_are_said_and_change_nothing(pattern):
    with pytest.warns(UserWarning, match=pattern):
        SAYS[pattern]()
    with heard("a parser"):
        SAYS[pattern]()


def test_flags_beside_fluorine_are_no_species():
    first, second = silently(FLUORIDE.format(flags="T T T")), silently(FLUORIDE.format(flags="T T F F"))
    assert first.structure.species == second.structure.species
    assert np.array_equal(first.structure.frac_coords, second.structure.frac_coords)
