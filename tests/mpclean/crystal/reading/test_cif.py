"""CIF files: what they mean is read, and what they say of themselves must be so."""

import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from mpclean.crystal.formula import formula
from mpclean.crystal.reading.bookkeeping import DISAGREES
from mpclean.crystal.reading.cif import NO_CELL, cif_blocks, read_cif
from mpclean.crystal.reading.facts import MALFORMED, NO_STRUCTURE, PARTIAL
from mpclean.errors import RecordError

PEROVSKITE = ("Sr 0 0 0", "Ti .5 .5 .5", "O .5 .5 0")
CUBIC = {"symmetry_space_group_name_H-M": "P m -3 m"}
HEXAGONAL = (3.142, 3.142, 4.766, 90, 90, 120)


def read(text):
    return formula(read_cif(text).crystal.atomic_numbers)


def refusal(text):
    with pytest.raises(RecordError) as caught:
        read_cif(text)
    return caught.value


@pytest.mark.parametrize("dotted", [False, True])
def test_all_agrees(cif, dotted):
    said = {"chemical_formula_sum": "O3 Sr Ti", "cell_formula_units_Z": 1, "cell_volume": "59.547(3)",
            "exptl_crystal_density_diffrn": 5.117, "space_group_IT_number": 221}  # fmt: skip
    text = cif(*PEROVSKITE, **CUBIC, **said)
    if dotted:  # of the dictionary's second generation
        for category in ("cell", "atom_site", "space_group", "chemical", "exptl_crystal"):
            text = text.replace(f"_{category}_", f"_{category}.")
        text = text.replace("_symmetry_space_group.", "_symmetry_space_group_")
    assert read(text) == "Sr1 Ti1 O3"


@pytest.mark.parametrize(
    ("said", "both"),
    [
        ({"chemical_formula_sum": "H2 O3 Sr Ti"}, ("H2 O3 Sr Ti", "Sr1 Ti1 O3")),
        ({"chemical_formula_sum": "O2 Sr Ti"}, ("O2 Sr Ti", "Sr1 Ti1 O3")),
        ({"chemical_formula_sum": "Ba O3 Ti"}, ("Ba O3 Ti", "Sr1 Ti1 O3")),
        ({"chemical_formula_sum": "O3 Sr Ti", "cell_formula_units_Z": 4}, ("20 atoms", "5 atoms")),
        ({"chemical_formula_sum": "O3 Sr?Ti"}, ("O3 Sr?Ti", "no formula")),
        ({"cell_formula_units_Z": 2}, ("Z = 2", "does not divide")),
        ({"cell_volume": 65.0}, ("65", "59.547")),
        ({"exptl_crystal_density_diffrn": 4.1}, ("4.1", "5.117")),
        ({"space_group_IT_number": 225}, ("225", "P m -3 m (number 221)")),
        ({"space_group_name_Hall": "P 1"}, ("P m -3 m", "P 1")),
    ],
)
def test_what_disagrees_is_refused_with_both_sides(cif, said, both):
    error = refusal(cif(*PEROVSKITE, **CUBIC, **said))
    assert error.reason == DISAGREES
    for side in both:
        assert side in str(error)


@pytest.mark.parametrize(
    ("stated", "units"),
    [("O3 Sr Ti", 1), ("O6 Sr2 Ti2", 0.5), ("SrTiO3", 1), ("Sr1 Ti1 O3", 1), ("O3 Sr Ti", "?")],
)
def test_formulas_that_mean_the_same(cif, stated, units):
    assert (
        read(cif(*PEROVSKITE, **CUBIC, chemical_formula_sum=stated, cell_formula_units_Z=units))
        == "Sr1 Ti1 O3"
    )


def test_formula_of_the_whole_cell_as_pymatgen_writes_it():
    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    sites = [[0, 0, 0], [0, 0, 0.24], [0.5, 0.5, 0], [0.5, 0.5, 0.24]]
    text = str(CifWriter(Structure(Lattice.cubic(5), ["O"] * 4, sites)))
    assert "_cell_formula_units_Z   2" in text  # a reduced formula of O2
    assert read(text) == "O4"
    for symprec in (None, 0.01):
        text = str(CifWriter(salt, symprec=symprec))
        assert "_chemical_formula_sum   'Na4 Cl4'" in text
        assert "_cell_formula_units_Z   4" in text
        assert read(text) == "Na4 Cl4"


@pytest.mark.parametrize("unknown", [".", "?"])
def test_unknown_occupancy_is_one(cif, unknown):
    sites = [f"{PEROVSKITE[0]} {unknown}", f"{PEROVSKITE[1]} 1.000(5)", f"{PEROVSKITE[2]} 1"]
    assert read(cif(*sites, **CUBIC, columns=("occupancy",))) == "Sr1 Ti1 O3"


@pytest.mark.parametrize(
    ("share", "reason", "said"),
    [
        ("0.5", PARTIAL, "site Sr: Sr 0.5"),
        ("0.95(2)", PARTIAL, "Sr 0.95"),
        ("0", PARTIAL, "Sr 0.0"),
        ("1.0001", "occupancy above 1", "occupancy 1.0001"),
        ("half", MALFORMED, "occupancy of Sr is 'half'"),
    ],
)
def test_other_occupancies_are_refused(cif, share, reason, said):
    sites = [f"{PEROVSKITE[0]} {share}", *(f"{site} 1" for site in PEROVSKITE[1:])]
    error = refusal(cif(*sites, **CUBIC, columns=("occupancy",)))
    assert error.reason == reason
    assert said in error.detail


@pytest.mark.parametrize(
    ("columns", "site", "said"),
    [
        (("disorder_group",), "1", "several groups of disorder"),
        (("attached_hydrogens",), "2", "hydrogens attached"),
        (("calc_flag",), "dum", "dummy sites"),
    ],
)
def test_sites_that_are_not_all_or_no_atoms(cif, columns, site, said):
    sites = [f"{PEROVSKITE[0]} {site}", f"{PEROVSKITE[1]} 2", f"{PEROVSKITE[2]} ."]
    sites = sites if columns == ("disorder_group",) else [sites[0], f"{PEROVSKITE[1]} .", sites[2]]
    assert said in str(refusal(cif(*sites, **CUBIC, columns=columns)))


@pytest.mark.parametrize("decimals", [2, 3, 4, 6])
def test_few_decimals_of_a_special_position(cif, decimals):
    """Images of one atom that rounding sets apart are one atom, on the position that it was rounded from."""
    third, two = f"{1 / 3:.{decimals}f}", f"{2 / 3:.{decimals}f}"
    crystal = read_cif(
        cif("Mg 0 0 0", f"O {third} {two} 0.22", cell=HEXAGONAL, space_group_name_H_M_alt="P -3 m 1").replace(
            "name_H_M", "name_H-M"
        )
    ).crystal
    assert formula(crystal.atomic_numbers) == "Mg1 O2"
    assert crystal.frac_coords[1] == pytest.approx([1 / 3, 2 / 3, 0.22], abs=1e-9)


def test_an_atom_that_is_beside_every_special_position(cif):
    error = refusal(cif("Na 0 0 0", "Cl .49 .5 .5", "O .012 .012 0", **CUBIC))
    assert error.reason == "atoms coincide"


def test_types_count_before_labels(cif):
    text = cif("T1 0 0 0 Si", "Ow1 .5 .5 .5 O2-", "X1 .5 .5 0 CL", **CUBIC, columns=("type_symbol",))
    assert read(text) == "Si1 Cl3 O1"


def test_isotopes_count_as_hydrogen_in_the_formula(cif):
    reading = read_cif(
        cif("Li 0 0 0", "D .5 .5 .5", **CUBIC, chemical_formula_sum="D Li",
            exptl_crystal_density_diffrn=f"{9.0 / 59.547 * 1.66054:.3f}")
    )  # fmt: skip
    assert reading.notes == ("1 atom of deuterium read as hydrogen",)


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        (("_cell_length_a 3.905", "_cell_length_a ?"), MALFORMED, "no _cell_length_a"),
        (("_cell_angle_beta 90\n", ""), MALFORMED, "no _cell_angle_beta"),
        (("_cell_angle_beta 90", "_cell_angle_beta 300"), NO_CELL, "between 0 and 180 degrees"),
        (("_cell_angle_beta 90", "_cell_angle_beta -90"), NO_CELL, "angles 90, -90, 90"),
        (("_cell_length_b 3.905", "_cell_length_b -3.905"), NO_CELL, "a length is above 0"),
        (("_cell_length_b 3.905", "_cell_length_b 0"), NO_CELL, "lengths 3.905, 0, 3.905 A"),
        (("_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90",
          "_cell_angle_alpha 30\n_cell_angle_beta 30\n_cell_angle_gamma 120"), NO_CELL, "no three vectors"),
        (("Ti .5 .5 .5", "Ti .5 .5"), MALFORMED, "Wrong number of values in loop"),
        (("Ti .5 .5 .5", "Ti .5 ? .5"), MALFORMED, "coordinate of site Ti is '?'"),
        (("Ti .5 .5 .5", "Sr .0 .0 .0"), "atoms coincide", "apart"),
        (("loop_", "loop"), MALFORMED, "no valid CIF: line 9 of the block"),
        (("data_a", "data_a\n_cell_length_a 4"), MALFORMED, "line 3 of the block in data_a: duplicate tag"),
        (("_symmetry_space_group_name_H-M 'P m -3 m'\n", ""), "no space group", "'P 1'"),
        (("data_a", "data_a\n_cell_modulation_dimension 1"), "not periodic in three directions", "modulated"),
        (("data_a", "data_a\n_space_group_ssg_name 'P m'"), "not periodic in three directions", "modulated"),
        (("_atom_site_fract", "_atom_site_Cartn"), "no atoms", "Cartesian ones are not read"),
        (("data_a", "data_a\n_space_group_name_H-M_alt 'F m -3 m'"), DISAGREES, "group 'P m -3 m'"),
        (("data_a", "data_a\n_symmetry_Int_Tables_number 221\n_space_group_IT_number 225"), DISAGREES, "225"),
        (("data_a", "data_a\n_space_group_magn.name_BNS 'P m'"), "space group not understood", "magnetic"),
    ],
)  # fmt: skip
def test_damaged_files_say_what_is_wrong(cif, change, reason, said):
    text = cif(*PEROVSKITE, **CUBIC)
    assert change[0] in text
    error = refusal(text.replace(*change))
    assert error.reason == reason
    assert said in error.detail


def test_the_multiplicity_that_a_site_states_is_that_of_its_images(cif):
    sites = ("Sr 0 0 0 1", "Ti .5 .5 .5 1", "O .5 .5 0 3")
    columns = ("site_symmetry_multiplicity",)
    assert read(cif(*sites, columns=columns, **CUBIC)) == "Sr1 Ti1 O3"
    error = refusal(cif(*sites, columns=columns, space_group_IT_number=1))
    assert error.reason == DISAGREES
    assert error.detail == "it says multiplicity 3 of site O, P 1 makes 1 of it"


def test_ends_of_lines_of_any_system(cif):
    text = cif(*PEROVSKITE, **CUBIC)
    assert [read(block.text) for end in ("\r\n", "\r") for block in cif_blocks(text.replace("\n", end))] == [
        "Sr1 Ti1 O3"
    ] * 2


def test_blocks(cif):
    """Text fields may hold anything, and a block without a crystal counts for nothing."""
    first = "\ufeff" + cif(*PEROVSKITE, name="first", **CUBIC) + "_publ_section\n;\ndata_none\n;\n"
    second = cif("Po 0 0 0", name="second", **CUBIC)
    paper = "data_global\n_journal_name 'Acta'\n"
    assert [block.name for block in cif_blocks(first + paper + second)] == ["first", "global", "second"]
    assert read(paper + first) == "Sr1 Ti1 O3"
    error = refusal(first + second)
    assert (error.reason, error.detail) == (
        "several structures",
        "2 blocks with a crystal: first, second",
    )
    assert refusal(paper).reason == NO_STRUCTURE
    assert refusal("no CIF").reason == MALFORMED
