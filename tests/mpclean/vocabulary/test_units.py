import pytest

from mpclean.vocabulary.units import nearest, unknown_symbol


@pytest.mark.parametrize(
    "unit",
    [
        "GPa",
        "eV/atom",
        "W m^-1 K^-1",
        "W/(m K)",
        "1/s",
        "log10(GPa)",
        "cm-1",
        "10^20 cm^-3",
        "°C",
        "%",
        "HV",
        "eV/f.u.",
        "muB/atom",
        "mJ/m²",
        "µΩ cm",
        "W·m⁻¹·K⁻¹",
        "g/cm3",
        "A^3",
        "Å",
        "eV/A",
        "mu_B",
        "meV/Atom",
        "mAh/g",
        "",
        "1",
    ],
)
def test_units_are_products_and_powers_of_known_symbols(unit: str) -> None:
    assert unknown_symbol(unit) is None


@pytest.mark.parametrize(
    ("unit", "symbol", "near"),
    [
        ("GPaa", "GPaa", "GPa"),
        ("ev/atom", "ev", "eV"),
        ("gpa", "gpa", "GPa"),
        ("kg/bananas", "bananas", None),
        ("PBE", "PBE", None),
        ("eV/", "eV/", "eV"),
        ("GPa)", "GPa)", "GPa"),
        ("10", "10", None),
        ("eV!", "eV!", "eV"),
    ],
)
def test_a_text_that_is_no_unit_is_told_with_the_nearest_one(
    unit: str, symbol: str, near: str | None
) -> None:
    assert unknown_symbol(unit) == symbol
    assert nearest(symbol) == near
