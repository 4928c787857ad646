"""Rules and their parameters as a person names them."""

import pytest

from mpclean.errors import UserError
from mpclean.rules.choice import choose, parse_value, read_plan, remade
from mpclean.rules.dimensionality import Dimensionality
from mpclean.rules.duplicate import Duplicate
from mpclean.rules.record import Record
from mpclean.rules.size import Size

PAPER = ("record", "duplicate", "size", "dimensionality", "graph")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("max_atoms=100", ("max_atoms", 100)),
        ("min_energy=-0.5", ("min_energy", -0.5)),
        ("dedup=structure", ("dedup", "structure")),
        ('elements=["Pb", "Hg"]', ("elements", ["Pb", "Hg"])),
    ],
)
def test_values(text, value):
    assert parse_value(text) == value


def test_parameters_find_their_rule():
    found = choose(PAPER, {"max_atoms": 100, "dimensionality.dimensionality": 2})
    assert found[2:4] == (Size(100), Dimensionality(2))
    assert remade([rule.name for rule in found], {rule.name: rule.parameters for rule in found}) == found
    assert remade(PAPER, None) == choose(PAPER, {})


def test_records_are_read_first():
    assert choose(("size", "record"), {}) == (Record(), Size())


def test_a_plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(
        'rules = ["size", "duplicate"]\n[size]\nmax_atoms = 7\n[duplicate]\ndedup = "structure"\n'
    )
    plan = read_plan(path)
    assert choose(PAPER, {}, plan) == (Record(), Size(7), Duplicate("structure"))
    assert choose(PAPER, {"max_atoms": 9}, plan)[1] == Size(9)  # the command line counts more


@pytest.mark.parametrize(
    ("names", "parameters", "message"),
    [
        (("sise",), {}, "unknown rule 'sise'; did you mean 'size'"),
        (("size", "size"), {}, "the rule size is named twice"),
        (
            PAPER,
            {"max_atom": 1},
            "--rule max_atom: unknown parameter 'max_atom'; did you mean 'max_atoms'",
        ),
        (
            PAPER,
            {"shape.max_atoms": 1},
            "--rule shape.max_atoms: the rule shape does not run; this build runs record",
        ),
        (PAPER, {"max_atoms": 0}, "--rule size.max_atoms=0: input should be greater than or equal to 1"),
        (PAPER, {"max_atoms": "many"}, "--rule size.max_atoms=many: input should be a valid integer"),
        (PAPER, {"dimensionality": 4}, "--rule dimensionality.dimensionality=4: input should be less than"),
        (("duplicate",), {"max_atoms": 9}, "unknown parameter 'max_atoms'; known: dedup"),
    ],
)
def test_what_is_wrong_is_said(names, parameters, message):
    with pytest.raises(UserError, match=message):
        choose(names, parameters)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rules = [", "cannot be read as TOML"),
        ("rules = 5", "rules must be a list of names"),
        ("max_atoms = 5", "max_atoms stands in no table"),
        ("[shape]\nsides = 5", "unknown rule 'shape'"),
    ],
)
def test_a_plan_that_is_none(tmp_path, content, message):
    path = tmp_path / "plan.toml"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_plan(path)


def test_no_value():
    with pytest.raises(UserError, match="--rule max_atoms: expected FIELD=VALUE"):
        parse_value("max_atoms")
