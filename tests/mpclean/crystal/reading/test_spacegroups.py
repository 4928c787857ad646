"""Names, numbers and operations of space groups: understood in their setting, or refused."""

import gemmi
import numpy as np
import pytest
from pymatgen.core import Lattice

from mpclean.crystal.reading.bookkeeping import DISAGREES
from mpclean.crystal.reading.cif import read_cif
from mpclean.crystal.reading.spacegroups import NO_GROUP, UNKNOWN_GROUP, Stated, fitting, understood
from mpclean.errors import RecordError

NAME = "symmetry_space_group_name_H-M"
DIAMOND = (3.567,) * 3 + (90,) * 3
BISMUTH = (4.746,) * 3 + (57.23,) * 3
BISMUTH_HEXAGONAL = (4.546, 4.546, 11.862, 90, 90, 120)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("P m 3 m", "P m -3 m"),
        ("Pm3m", "P m -3 m"),
        ("P M -3 M", "P m -3 m"),
        ("Pm-3m", "P m -3 m"),
        ("F m 3 m", "F m -3 m"),
        ("P a 3", "P a -3"),
        ("I a 3 d", "I a -3 d"),
        ("P 2 3", "P 2 3"),
        ("P -4 3 m", "P -4 3 m"),
        ("F d -3 m :1", "F d -3 m:1"),
        ("F d -3 m:2", "F d -3 m:2"),
        ("F d 3 m S", "F d -3 m:1"),
        ("F d -3 m Z", "F d -3 m:2"),
        ("R -3 m :R", "R -3 m:R"),
        ("R -3 m R", "R -3 m:R"),
        ("R -3 m H", "R -3 m:H"),
        ("P 1 21/n 1", "P 1 21/n 1"),
        ("P 1 1 21/n", "P 1 1 21/n"),
        ("C m c e", "C m c a"),
        ("P 63/m m c", "P 63/m m c"),
        ("P6_3/mmc", "P 63/m m c"),
        ("P b n m", "P b n m"),
        ("C -1", "C -1"),
        ("P 32", "P 32"),
        ("P 3 1 2", "P 3 1 2"),
    ],
)
def test_names(written, meant):
    assert [setting.name for setting in understood(Stated(name=written))] == [meant]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("F d -3 m", ["F d -3 m:1", "F d -3 m:2"]),
        ("R -3 m", ["R -3 m:H", "R -3 m:R"]),
        ("P 21/n", ["P 1 21/n 1", "P 1 1 21/n", "P 21/n 1 1"]),
    ],
)
def test_names_of_several_settings(written, meant):
    assert [setting.name for setting in understood(Stated(name=written))] == meant


@pytest.mark.parametrize("group", list(gemmi.spacegroup_table()), ids=lambda group: group.xhm())
def test_every_setting_is_known_by_its_own_name_hall_symbol_and_operations(group):
    wanted = {operation.triplet() for operation in group.operations()}

    def operations(stated):
        (found,) = understood(stated)
        return {
            gemmi.Op(x).triplet()
            for x in (
                triplet(rotation, translation)
                for rotation, translation in zip(found.rotations, found.translations, strict=True)
            )
        }

    def triplet(rotation, translation):
        op = gemmi.Op()
        op.rot = (24 * rotation).tolist()
        op.tran = translation.tolist()
        return op.triplet()

    assert operations(Stated(hall=group.hall)) == wanted
    assert operations(Stated(operations=tuple(wanted))) == wanted
    named = understood(Stated(name=group.xhm()))
    assert group.number in {setting.number for setting in named}
    assert understood(Stated(name=group.xhm(), number=group.number, operations=tuple(wanted)))


@pytest.mark.parametrize(
    ("stated", "reason", "said"),
    [
        (Stated(), NO_GROUP, "write 'P 1' where all atoms are listed"),
        (Stated(name="Q 1"), UNKNOWN_GROUP, "'Q 1'"),
        (Stated(name="F 4 3 m"), UNKNOWN_GROUP, "'F 4 3 m'"),
        (Stated(name="P m -3 m :1"), UNKNOWN_GROUP, "'P m -3 m :1'"),
        (Stated(number=231), UNKNOWN_GROUP, "231"),
        (Stated(hall="P Q"), UNKNOWN_GROUP, "Hall symbol 'P Q'"),
        (Stated(operations=("x,y,q",)), UNKNOWN_GROUP, "unexpected character 'q'"),
        (Stated(operations=("x,y,z", "-y,x,z")), UNKNOWN_GROUP, "are no group"),
        (Stated(name="P m -3 m", operations=("x,y,z",)), DISAGREES, "'P m -3 m', its operations are P 1"),
        (Stated(name="P 1", operations=("x,y,z", "-x,-y,-z")), DISAGREES, "'P 1', its operations are P -1"),
        (Stated(number=225, operations=("x,y,z",)), DISAGREES, "number 225, its operations are P 1"),
        (Stated(name="P 1 21/c 1", hall="-P 2yn"), DISAGREES, "its name is P 1 21/n 1"),
        (Stated(name="F m -3 m", number=221), DISAGREES, "number 221, its name is F m -3 m"),
    ],
)
def test_what_is_refused(stated, reason, said):
    with pytest.raises(RecordError) as caught:
        understood(stated)
    assert caught.value.reason == reason
    assert said in caught.value.detail


def test_operations_about_another_origin():
    """No setting of the table, but spglib knows their number."""
    (found,) = understood(Stated(name="P -1", operations=("x,y,z", "1/3-x,-y,-z")))
    assert (found.number, len(found)) == (2, 2)
    with pytest.raises(RecordError, match="its operations are 2 listed operations of P-1"):
        understood(Stated(name="P 1 2 1", operations=("x,y,z", "1/3-x,-y,-z")))


@pytest.mark.parametrize(
    ("cell", "name", "place", "atoms"),
    [
        (BISMUTH, "R -3 m", "0.237 0.237 0.237", 2),
        (BISMUTH, "R -3 m :R", "0.237 0.237 0.237", 2),
        (BISMUTH_HEXAGONAL, "R -3 m", "0 0 0.237", 6),
        (BISMUTH_HEXAGONAL, "R -3 m :H", "0 0 0.237", 6),
    ],
)
def test_axes_of_a_rhombohedral_group_follow_from_the_cell(cif, cell, name, place, atoms):
    crystal = read_cif(cif(f"Bi {place}", cell=cell, **{NAME: name})).crystal
    assert len(crystal) == atoms
    number = read_cif(cif(f"Bi {place}", cell=cell, space_group_IT_number=166)).crystal
    assert np.array_equal(number.frac_coords, crystal.frac_coords)


@pytest.mark.parametrize(
    ("cell", "name"),
    [(BISMUTH, "R -3 m :H"), (BISMUTH_HEXAGONAL, "R -3 m :R"), (BISMUTH_HEXAGONAL, "P m -3 m"),
     ((3, 4, 5, 90, 100, 90), "P 1 1 21/n"), ((3, 4, 5, 90, 90, 90), "P 4")],
)  # fmt: skip
def test_a_lattice_that_a_group_cannot_have(cif, cell, name):
    with pytest.raises(RecordError, match="cannot have") as caught:
        read_cif(cif("Bi 0 0 0", cell=cell, **{NAME: name}))
    assert caught.value.reason == DISAGREES


@pytest.mark.parametrize(
    ("angles", "meant"),
    [
        ((90, 100, 90), "P 1 21/n 1"),
        ((90, 90, 100), "P 1 1 21/n"),
        ((100, 90, 90), "P 21/n 1 1"),
        ((90, 90, 90), "P 1 21/n 1"),  # b by convention
    ],
)
def test_the_unique_axis_of_a_short_name_follows_from_the_cell(angles, meant):
    lattice = Lattice.from_parameters(5, 6, 7, *angles).matrix
    assert [setting.name for setting in fitting(understood(Stated(name="P 21/n")), lattice)] == [meant]


def test_an_origin_that_the_name_leaves_open(cif):
    """The sites decide where the formula and Z tell; else nobody can."""
    eighth = "C .125 .125 .125"
    assert len(read_cif(cif(eighth, cell=DIAMOND, **{NAME: "F d -3 m :2"})).crystal) == 8
    assert len(read_cif(cif("C 0 0 0", cell=DIAMOND, **{NAME: "F d -3 m :1"})).crystal) == 8
    told = {"chemical_formula_sum": "C", "cell_formula_units_Z": 8}
    assert len(read_cif(cif(eighth, cell=DIAMOND, **{NAME: "F d -3 m"}, **told)).crystal) == 8
    assert len(read_cif(cif("C 0 0 0", cell=DIAMOND, space_group_IT_number=227, **told)).crystal) == 8
    with pytest.raises(RecordError, match="in doubt: F d -3 m:1 or F d -3 m:2: list the operations"):
        read_cif(cif(eighth, cell=DIAMOND, **{NAME: "F d -3 m"}))
