"""Messages of mistakes."""

from mpclean.errors import closest


def test_the_nearest_name_is_suggested_and_all_are_listed():
    assert closest("split", "formla", ["random", "formula"]) == (
        "unknown split 'formla'; did you mean 'formula'? Known: random, formula"
    )


def test_a_name_that_is_near_to_none_gets_the_list_alone():
    assert closest("target", "colour", ["band_gap"]) == "unknown target 'colour'; known: band_gap"
    assert closest("model", "x", []) == "unknown model 'x'; known: none"
