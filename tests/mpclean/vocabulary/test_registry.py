"""Names of ours, of packages, and of nothing; packages outside the tree are in tests/test_adding.py."""

import math

import pytest

from mpclean.errors import UserError
from mpclean.vocabulary import registry
from mpclean.vocabulary.registry import Registry


@pytest.fixture
def functions(monkeypatch):
    brought = {"square root": "math:sqrt", "sine": "math:cos", "constant": "math:pi", "nowhere": "maths:tan"}
    monkeypatch.setattr(registry, "_brought", {"numbers": brought}.__getitem__)
    ours = {"sine": math.sin, "logarithm": "math:log"}
    return Registry("function", "numbers", ours, lambda name, found: callable(found), "function of a number")


def test_ours_come_first_and_a_name_of_ours_is_ours(functions):
    assert functions.names() == ("sine", "logarithm", "constant", "nowhere", "square root")
    assert functions.find("sine") is math.sin


def test_what_takes_long_is_imported_when_it_is_asked_for(functions):
    assert functions.find("logarithm") is math.log
    assert functions.find("square root") is math.sqrt
    assert functions.load("tangent", "math:tan") is math.tan


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "squares root",
            r"unknown function 'squares root'; did you mean 'square root'\? Known: sine, logarithm, ",
        ),
        ("nowhere", "function 'nowhere': maths:tan cannot be imported .No module named 'maths'"),
        ("constant", "function 'constant': math:pi is no function of a number"),
    ],
)
def test_what_does_not_serve_is_said(functions, name, message):
    with pytest.raises(UserError, match=message):
        functions.find(name)


@pytest.mark.parametrize("path", ["math", "math:", "math:nothing", ":sqrt", "math:sqrt:1"])
def test_a_path_that_is_none_is_said(functions, path):
    with pytest.raises(UserError, match=f"function 'x': {path} (cannot be imported|is no function)"):
        functions.load("x", path)
