"""Numeric and alphabetical ids."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpclean.vocabulary.ids import LAST_NUMERIC, normalise_id


def alphabetical(number):
    """Base 26 with the digits a to z, written out independently."""
    letters = ""
    while number or not letters:
        number, digit = divmod(number, 26)
        letters = string.ascii_lowercase[digit] + letters
    return letters


@pytest.mark.parametrize(
    ("given_id", "known_as"),
    [
        ("mp-ft", "mp-149"),
        ("mp-aaaaaaft", "mp-149"),
        ("mp-aaaaabmp", "mp-1003"),
        ("mp-149", "mp-149"),
        ("mp-b", "mp-1"),
        ("mp-a", "mp-0"),
        ("mvc-12", "mvc-12"),
        ("mvc-ft", "mvc-ft"),
        ("demo-ab", "demo-ab"),
        ("7", "7"),
        ("mp-FT", "mp-FT"),
        ("mp-", "mp-"),
        ("mp-ft-2", "mp-ft-2"),
        ("", ""),
    ],
)
def test_known_pairs(given_id, known_as):
    assert normalise_id(given_id) == known_as


def test_boundary():
    assert normalise_id(f"mp-{alphabetical(LAST_NUMERIC)}") == "mp-3347529"
    beyond = alphabetical(LAST_NUMERIC + 1)
    assert normalise_id(f"mp-{beyond}") == f"mp-{beyond}"
    assert normalise_id(f"mp-aa{beyond}") == f"mp-{beyond}"


@settings(max_examples=60)
@given(st.integers(0, 10**9), st.integers(0, 3))
def test_every_number_has_one_form(number, padding):
    letters = alphabetical(number)
    expected = f"mp-{number}" if number <= LAST_NUMERIC else f"mp-{letters}"
    assert normalise_id("mp-" + "a" * padding + letters) == expected
    assert normalise_id(expected) == expected
