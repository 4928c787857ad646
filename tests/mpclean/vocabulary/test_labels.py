import pyarrow as pa
import pytest

from mpclean.errors import UserError
from mpclean.vocabulary.labels import Label, labels_of, own_label, parse_label, unique_labels


def test_a_label_is_a_name_and_a_unit() -> None:
    label = parse_label("bulk_modulus:GPa")
    assert (label.name, label.unit) == ("bulk_modulus", "GPa")
    assert label.column.type == pa.float64()
    assert label.column.unit == "GPa"
    assert parse_label("poisson").unit == ""
    assert parse_label("rate: 1/s ").unit == "1/s"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("band_gap:eV", "kept without being asked for"),
        ("lattice:A", "taken by the schema"),
        ("split:A", "taken by the schema"),
        ("bulk modulus:GPa", "not letters, digits and _"),
        (":GPa", "not letters, digits and _"),
        ("a:b\nc", "one line"),
        ("a:" + "b" * 201, "one line"),
    ],
)
def test_a_name_that_cannot_be_a_label_is_refused(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_label(text)


def test_a_label_in_two_units_is_refused() -> None:
    same = own_label("k", "GPa")
    assert unique_labels([same, same]) == (same,)
    with pytest.raises(UserError, match="given twice"):
        unique_labels([same, own_label("k", "MPa")])


def test_the_labels_of_a_release_are_those_of_the_schema_and_its_own() -> None:
    own = own_label("bulk_modulus", "GPa", "of Voigt, Reuss and Hill")
    found = labels_of(["material_id", "band_gap", "heat_all", "bulk_modulus"], [own])
    assert [label.name for label in found] == ["band_gap", "heat_all", "bulk_modulus"]
    assert found[-1] == own == Label("bulk_modulus", "GPa", "of Voigt, Reuss and Hill")
