"""CIF text of the kinds that people have."""

import pytest


@pytest.fixture
def cif():
    """Make a CIF file of a cubic cell of 3.905 A, or another one, with what is said of it."""

    def make(*sites, cell=(3.905,) * 3 + (90,) * 3, name="a", columns=(), **said):
        tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
        lines = [f"data_{name}", *(f"_cell_{tag} {value}" for tag, value in zip(tags, cell, strict=True))]
        operations = said.pop("operations", None)
        lines += [f"_{tag} '{value}'" for tag, value in said.items()]
        if operations:
            lines += ["loop_", "_space_group_symop_operation_xyz", *(f"'{one}'" for one in operations)]
        names = ("label", "fract_x", "fract_y", "fract_z", *columns)
        lines += ["loop_", *(f"_atom_site_{one}" for one in names), *sites]
        return "\n".join(lines) + "\n"

    return make
