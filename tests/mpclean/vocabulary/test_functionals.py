"""Functionals have one name each."""

import pytest

from mpclean.vocabulary.functionals import DEFAULT_FUNCTIONAL, FUNCTIONALS, functional_name, other_functional


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        *(("GGA", "PBE"), ("GGA+U", "PBE"), ("GGA_U", "PBE"), ("PBE+U", "PBE"), ("pbe", "PBE")),
        *(("PBESol", "PBEsol"), ("scan", "SCAN"), ("SCAN+U", "SCAN"), ("R2SCAN", "r2SCAN")),
        *(("HSE06", "HSE06"), ("revPBE", "revPBE"), ("", "")),
    ],
)
def test_names(stated, name):
    assert functional_name(stated) == name


def test_names_are_their_own():
    assert [functional_name(name) for name in FUNCTIONALS] == list(FUNCTIONALS)
    assert DEFAULT_FUNCTIONAL in FUNCTIONALS


def test_what_is_left_out():
    assert other_functional("GGA_U", "PBE") is None
    assert other_functional(None, "PBE") is None
    assert other_functional("GGA", "r2SCAN") == "computed with PBE, not r2SCAN"
    assert other_functional(7, "PBE") == "computed with 7, not PBE"
