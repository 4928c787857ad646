"""Entries of several functionals and of one id several times."""

import json
import math
from collections import Counter

import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry, ManualEnergyAdjustment

from mpclean.errors import UserError
from mpclean.sources.documents import read_documents
from mpclean.sources.entries import ANOTHER, OTHER_LICENCE, UNREADABLE, is_entries, open_entries

NAN = float("nan")


def entry(material_id, species, energy, correction=0.0, run_type="GGA", **data):
    """An entry as pymatgen writes it, of a cubic cell with one or two atoms; eV for the cell."""
    structure = Structure(Lattice.cubic(4), species, [[0.5 * k] * 3 for k in range(len(species))])
    return ComputedStructureEntry(
        structure,
        energy,
        energy_adjustments=[ManualEnergyAdjustment(correction)] if correction else [],
        parameters={"run_type": run_type, "is_hubbard": run_type.endswith("+U"), "hubbards": None},
        data={"material_id": material_id, "run_type": run_type.replace("+", "_"), "license": "BY-C"} | data,
        entry_id=f"{material_id}-{run_type}",
    ).as_dict()


#: Elements at -2 and -5 eV/atom, each with a polymorph above.
ELEMENTS = [
    entry("mp-1", ["Fe"], -1.5),
    entry("mp-2", ["Fe"], -2.0),
    entry("mp-3", ["O", "O"], -10.0),
    entry("mp-4", ["O"], -4.0),
]


@pytest.fixture
def read(tmp_path):
    """Rows of entries by their position, and the order of their file."""

    def read(*entries, functional="PBE", name="entries.json"):
        (tmp_path / name).write_text(json.dumps(entries))
        source = open_entries(tmp_path / name, functional)
        return [row for batch in source.batches() for row in read_documents(batch).to_pylist()]

    return read


def test_an_entry_as_pymatgen_writes_it(read):
    row = read(*ELEMENTS, entry("mp-9", ["Fe", "O"], -12.0, correction=-1.0, run_type="GGA+U"))[-1]
    assert row["reason"] is None
    assert row["material_id"] == "mp-9"
    assert row["formula"] == "Fe1 O1"
    assert row["is_hubbard"] is True
    assert row["formation_energy_per_atom"] == pytest.approx((-12.0 - 1.0 + 2.0 + 5.0) / 2)
    assert row["e_above_hull"] is None  # a hull of what happens to be in a file is none
    assert (row["run_type"], row["licence"], row["correction_scheme"]) == ("GGA+U", "CC-BY-4.0", None)


@pytest.mark.parametrize(
    ("adjustments", "scheme"),
    [
        (["MaterialsProject2020Compatibility"] * 2, "MaterialsProject2020Compatibility"),
        (["Two", "One"], "One, Two"),
        ([None], None),
    ],
)
def test_the_scheme_that_corrected_an_energy(read, adjustments, scheme):
    corrected = entry("mp-9", ["Fe", "O"], -12.0)
    corrected["energy_adjustments"] = [
        {"@class": "CompositionEnergyAdjustment", "cls": name and {"@class": name}} for name in adjustments
    ]
    rows = read(*ELEMENTS, corrected)
    assert [row["correction_scheme"] for row in rows] == [None] * 4 + [scheme]


def test_elements_are_relative_to_the_lowest(read):
    energies = [row["formation_energy_per_atom"] for row in read(*ELEMENTS)]
    assert energies == pytest.approx([0.5, 0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("name", "value"), [("e_form_per_atom", -0.25), ("formation_energy_per_atom", -0.25)]
)
def test_what_an_entry_states_counts(read, name, value):
    oxide = entry("mp-9", ["Fe", "O"], -12.0)
    oxide["data"][name] = value
    top = entry("mp-9", ["Fe", "O"], -12.0) | {name: value, "e_above_hull": 0.125}
    assert read(*ELEMENTS, oxide)[-1]["formation_energy_per_atom"] == -0.25
    assert read(*ELEMENTS, top)[-1]["formation_energy_per_atom"] == -0.25
    assert read(*ELEMENTS, top)[-1]["e_above_hull"] == 0.125


def test_other_labels_stand_in_the_data(read):
    (row,) = read(entry("mp-9", ["Fe", "O"], -12.0, band_gap=1.5, total_magnetization=4.0))
    assert (row["band_gap"], row["magnetization_per_atom"]) == (1.5, 2.0)


def test_no_formation_energy_without_an_element(read):
    rows = read(*ELEMENTS, entry("mp-9", ["Fe", "N"], -12.0))
    assert rows[-1]["reason"] is None
    assert rows[-1]["formation_energy_per_atom"] is None
    assert read(entry("mp-9", ["Fe", "O"], -12.0))[0]["formation_energy_per_atom"] is None


def test_an_energy_with_u_needs_a_correction(read):
    bare, corrected = (
        read(*ELEMENTS, entry("mp-9", ["Fe", "O"], -10.0, correction, "GGA+U"))[-1]
        for correction in (0.0, -4.0)
    )
    assert bare["reason"] is None
    assert bare["formation_energy_per_atom"] is None
    assert corrected["formation_energy_per_atom"] == pytest.approx(-3.5)


def test_an_element_with_u_and_no_correction_is_no_reference(read):
    rows = read(*ELEMENTS, entry("mp-5", ["Fe"], -100.0, run_type="GGA+U"))
    assert rows[1]["formation_energy_per_atom"] == 0.0


SEVERAL = [
    entry("mp-9", ["Fe", "O"], -30.0, run_type="r2SCAN"),
    entry("mp-9", ["Fe", "O"], -14.0, run_type="GGA"),
    entry("mp-9", ["Fe", "O"], -11.0, correction=-1.0, run_type="GGA+U"),
    entry("mp-9", ["Fe", "O"], -12.0, correction=-1.0, run_type="GGA+U"),
    entry("mp-8", ["Fe", "O"], -30.0, run_type="r2SCAN"),
]


@pytest.mark.parametrize(
    ("functional", "reasons"),
    [
        (
            "PBE",
            [*("computed with r2SCAN, not PBE", ANOTHER, ANOTHER), None, "computed with r2SCAN, not PBE"],
        ),
        ("r2SCAN", [None, *["computed with PBE, not r2SCAN"] * 3, None]),
        ("SCAN", [f"computed with {name}, not SCAN" for name in ("r2SCAN", *["PBE"] * 3, "r2SCAN")]),
    ],
)
def test_one_entry_of_an_id_is_taken(read, functional, reasons):
    rows = read(*SEVERAL, functional=functional)
    assert [row["reason"] for row in rows] == reasons
    assert [row["material_id"] for row in rows] == ["mp-9"] * 4 + ["mp-8"]


def test_the_forms_of_an_id_are_one(read):
    rows = read(entry("mp-aaaaaaft", ["Fe"], -1.0), entry("mp-149", ["Fe"], -2.0))
    assert [row["reason"] for row in rows] == [ANOTHER, None]


def test_equal_entries_the_first_is_taken(read):
    assert [row["reason"] for row in read(*[entry("mp-1", ["Fe"], -1.0)] * 2)] == [None, ANOTHER]


def test_references_have_the_functional_too(read):
    elements = [
        entry(e["data"]["material_id"], list(e["composition"]), e["energy"] - 10, run_type="r2SCAN")
        for e in ELEMENTS
    ]
    oxide = entry("mp-9", ["Fe", "O"], -12.0)
    rows = read(*ELEMENTS, *elements, oxide)
    assert rows[-1]["formation_energy_per_atom"] == pytest.approx((-12.0 + 2.0 + 5.0) / 2)


def test_no_run_type_is_taken_as_it_is(read):
    plain = entry("mp-9", ["Fe"], -1.0) | {"parameters": {}, "data": {"material_id": "mp-9"}}
    assert read(plain, functional="r2SCAN")[0]["reason"] is None


def test_other_licences_are_left_out(read):
    rows = read(entry("mp-9", ["Fe"], -1.0, license="BY-NC"), entry("mp-9", ["Fe"], -1.0))
    assert [row["reason"] for row in rows] == [OTHER_LICENCE, None]


def test_the_id_of_an_entry_without_data(read):
    bare = entry("mp-9", ["Fe"], -1.0) | {"data": {}}
    nameless = bare | {"entry_id": None}
    rows = read(bare, nameless, nameless)
    assert [row["material_id"] for row in rows] == ["mp-9", None, None]
    assert [row["reason"] for row in rows] == [None, "no id", "no id"]


@pytest.mark.parametrize(
    "change",
    [
        {"composition": {}},
        {"composition": None},
        {"composition": {"Fe": -1}},
        {"composition": {"Fe": "x"}},
        {"composition": [1]},
        {"energy": None},
        {"energy": "low"},
        {"energy": NAN},
        {"energy": 10**400},
        {"correction": "x"},
    ],
)
def test_unreadable_entries_keep_their_id(read, change):
    rows = read(entry("mp-9", ["Fe"], -1.0) | change, *ELEMENTS)
    assert rows[0]["reason"] == UNREADABLE
    assert rows[0]["material_id"] == "mp-9"
    assert [row["reason"] for row in rows[1:]] == [None] * 4


@pytest.mark.parametrize(
    ("change", "material_id"),
    [
        ({"data": 1}, "mp-9"),
        ({"parameters": None}, "mp-9"),
        ({"data": None, "parameters": []}, "mp-9-GGA"),  # nothing says that GGA is no part of it
    ],
)
def test_parts_that_are_none(read, change, material_id):
    (row,) = read(entry("mp-9", ["Fe"], -1.0) | change)
    assert (row["reason"], row["material_id"]) == (None, material_id)


def test_documents_that_are_no_entries_are_handed_on(read, rock_salt):
    rows = read(*ELEMENTS, rock_salt(3), [1])
    assert rows[-2]["material_id"] == "mp-4"
    assert rows[-2]["formation_energy_per_atom"] == -1.03
    assert rows[-1]["reason"] == "document cannot be read"


def test_lines_that_are_no_json(tmp_path):
    path = tmp_path / "entries.jsonl"
    path.write_text(json.dumps(ELEMENTS[0]) + "\n{cut\n" + json.dumps(ELEMENTS[1]) + "\n")
    rows = [row for batch in open_entries(path).batches() for row in read_documents(batch).to_pylist()]
    assert [row["reason"] for row in rows] == [None, "document cannot be read", None]
    assert rows[1]["detail"].startswith("entries.jsonl, line 2")


def test_energies_are_finite_or_null(read):
    assert all(math.isfinite(row["formation_energy_per_atom"]) for row in read(*ELEMENTS))


def test_identity(tmp_path, write_lines):
    path = write_lines(tmp_path / "entries.jsonl", ELEMENTS)
    source = open_entries(path, "r2SCAN")
    assert source.identity.name == "entries"
    assert source.parameters == {"functional": "r2SCAN"}


def test_recognised(tmp_path, write_lines, rock_salt):
    assert is_entries(write_lines(tmp_path / "a.jsonl", ELEMENTS))
    assert is_entries(tmp_path)
    assert not is_entries(write_lines(tmp_path / "b.jsonl", [rock_salt(1)]))
    assert not is_entries(tmp_path / "nowhere.json")


def test_damaged_file(tmp_path):
    (tmp_path / "entries.json").write_text(json.dumps(ELEMENTS)[:-20])
    with pytest.raises(UserError, match=r"entries\.json: damaged or not json"):
        list(open_entries(tmp_path / "entries.json").batches())


def test_nothing_is_lost(read):
    rows = read(*SEVERAL, *ELEMENTS, entry("mp-7", ["Fe"], NAN))
    assert Counter(row["reason"] is None for row in rows) == {True: 5, False: 5}
