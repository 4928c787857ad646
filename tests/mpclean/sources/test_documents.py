"""Documents of every style become records, bad ones with the right reason."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from mpclean.crystal.reading import read_structure
from mpclean.crystal.reading.bounds import MAX_SITES
from mpclean.errors import RecordError
from mpclean.sources import DOCUMENTS
from mpclean.sources.documents import read_documents
from mpclean.vocabulary.schema import RECORD

NAN, INF = float("nan"), float("inf")


def batch(*documents):
    """Documents as a source hands them out; what is no bytes yet is written as JSON."""
    rows = [
        {
            "location": f"file, line {i}",
            "document": d if isinstance(d, bytes | None) else json.dumps(d).encode(),
            "problem": "no bytes" if d is None else None,
        }
        for i, d in enumerate(documents, 1)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENTS)


def read(*documents):
    return read_documents(batch(*documents)).to_pylist()


@pytest.fixture
def structure(structure_dict):
    return structure_dict(
        [[3, 0, 0], [0, 4, 0], [0.5, 0, 5]], ("Fe", "O"), [(0, 0, 0), (0.5, 0.5, 0.5)], magmom=(2.0, -0.5)
    )


@pytest.fixture
def document(structure):
    return {"material_id": "mp-7", "structure": structure}


def changed(structure, **site):
    """The structure with the first site changed."""
    return structure | {"sites": [structure["sites"][0] | site, *structure["sites"][1:]]}


def in_cell(structure, matrix):
    return structure | {"lattice": {"matrix": np.array(matrix).tolist()}}


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        ({}, None),
        ({"license": "MIT"}, "MIT"),
        ({"licence": "CC0-1.0"}, "CC0-1.0"),
        ({"license": "BY-C"}, "CC-BY-4.0"),
    ],
)
def test_licence_that_a_record_states_itself(document, stated, licence):
    (row,) = read(document | stated)
    assert (row["reason"], row["licence"]) == (None, licence)


@pytest.mark.parametrize(
    ("stated", "day"),
    [
        ({"created_at": "2015-03-08T12:58:28.539", "last_updated": "2021-01-01"}, "2015-03-08"),
        ({"created_at": {"$date": 1414951020475}}, "2014-11-02"),
        ({"last_updated": {"$date": "2021-02-03T04:05:06Z"}}, "2021-02-03"),
        ({"created_at": 1414951020475}, "2014-11-02"),
        ({"created_at": "yesterday"}, None),
        ({"created_at": 10**30}, None),
        ({"created_at": ["2015-03-08"]}, None),
        ({"created_at": {}}, None),
        ({"created_at": {"day": "2015-03-08"}}, None),
        ({"created_at": 1.5}, None),
        ({}, None),
    ],
)
def test_day_of_a_record(document, stated, day):
    (row,) = read(document | stated)
    assert (row["reason"], row["date"]) == (None, day)


def test_summary_style(document):
    (row,) = read(
        document
        | {
            "material_id": "mp-aaaaaaft",
            "formation_energy_per_atom": -1.25,
            "energy_above_hull": 0.01,
            "efermi": 3.5,
            "band_gap": 1.5,
            "total_magnetization": -3.0,
            "symmetry": {"number": 62, "symbol": "Pnma"},
            "builder_meta": {"database_version": "2023.11.1", "license": "BY-C"},
            "is_hubbard": True,
            "run_type": "GGA+U",
        }
    )
    assert row["reason"] is None
    assert row["detail"] is None
    assert row["material_id"] == "mp-149"
    assert row["database_version"] == "2023.11.1"
    assert row["licence"] == "CC-BY-4.0"
    assert row["run_type"] == "GGA+U"
    assert row["formula"] == "Fe1 O1"
    assert row["spacegroup_source"] == 62
    assert row["lattice"] == [3, 0, 0, 0, 4, 0, 0.5, 0, 5]
    assert row["atomic_numbers"] == [26, 8]
    assert row["frac_coords"] == [0, 0, 0, 0.5, 0.5, 0.5]
    assert row["magnetic_moments"] == [2.0, -0.5]
    assert row["formation_energy_per_atom"] == -1.25
    assert row["e_above_hull"] == 0.01
    assert row["efermi"] == 3.5
    assert row["band_gap"] == 1.5
    assert row["is_insulator"] is True
    assert row["is_hubbard"] is True
    assert row["magnetization_per_atom"] == 1.5


LEGACY = {
    "spacegroup": {"number": 225, "symbol": "Fm-3m"},
    "band_gap": {"search_gap": {"band_gap": 0.25}},
    "magnetism": {"total_magnetization": -4.0},
    "total_magnetization": 100.0,
    "e_above_hull": 0.5,
    "efermi": "None",
}


@pytest.mark.parametrize(
    "legacy",
    [
        LEGACY,
        {
            "spacegroup.number": 225,
            "band_gap.search_gap.band_gap": 0.25,
            "magnetism.total_magnetization": -4.0,
            "total_magnetization": 100.0,
            "e_above_hull": 0.5,
            "efermi": "None",
        },
        LEGACY | {"spacegroup": None, "spacegroup_number": "225", "magnetism": {"total_magnetization": "4"}},
    ],
    ids=["nested", "dotted", "flat"],
)
def test_legacy_style(structure, legacy):
    (row,) = read({"task_id": "mp-8", "structure": structure} | legacy)
    assert row["reason"] is None
    assert row["material_id"] == "mp-8"
    assert row["spacegroup_source"] == 225
    assert row["band_gap"] == 0.25
    assert row["magnetization_per_atom"] == 2.0
    assert row["e_above_hull"] == 0.5
    assert row["efermi"] is None


def test_lemat_style(document):
    style = {"immutable_id": "agm002", "band_gap_indirect": 0.5, "space_group_it_number": 12}
    (row,) = read({"structure": document["structure"], "dos_ef": 3.0} | style)
    assert row["material_id"] == "agm002"
    assert row["band_gap"] == 0.5
    assert row["spacegroup_source"] == 12
    assert row["efermi"] is None  # a density of states is no energy


def test_formation_energy_of_an_entry(document):
    assert read(document | {"e_form_per_atom": -0.5})[0]["formation_energy_per_atom"] == -0.5


def test_what_a_source_leaves_out_keeps_its_id(document):
    raw = json.dumps(document | {"structure": None}).encode()
    rows = [{"location": "file, line 1", "document": raw, "problem": "deprecated"}]
    (row,) = read_documents(pa.RecordBatch.from_pylist(rows, schema=DOCUMENTS)).to_pylist()
    assert (row["material_id"], row["reason"], row["detail"]) == ("mp-7", "deprecated", "file, line 1")


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"deprecated": True}, "deprecated", "file, line 1"),
        ({"builder_meta": {"license": "BY-NC"}}, "licence other than CC BY", "file, line 1: BY-NC"),
        ({"deprecated": False, "builder_meta": {"license": "BY-C"}}, None, None),
        ({"deprecated": None, "builder_meta": None}, None, None),
    ],
)
def test_deprecated_and_non_commercial_records_leave_under_their_id(document, change, reason, detail):
    (row,) = read(document | change)
    assert (row["material_id"], row["reason"], row["detail"]) == ("mp-7", reason, detail)


def test_first_key_that_is_there_counts(document):
    (row,) = read(
        document | {"task_id": "mp-9", "material_id": None, "e_above_hull": None, "energy_above_hull": 0.25}
    )
    assert row["material_id"] == "mp-9"
    assert row["e_above_hull"] == 0.25


@pytest.mark.parametrize("sign", [1, -1])
def test_moments_without_their_sign(document, sign):
    assert read(document | {"total_magnetization": 3 * sign})[0]["magnetization_per_atom"] == 1.5
    assert read(document | {"magnetization_per_atom": 0.75 * sign})[0]["magnetization_per_atom"] == 0.75


@pytest.mark.parametrize(("gap", "insulator"), [(0.0, False), (0, False), (1e-4, True), (None, None)])
def test_insulators(document, gap, insulator):
    (row,) = read(document | {"band_gap": gap})
    assert row["is_insulator"] is insulator
    assert row["band_gap"] == gap


@pytest.mark.parametrize("nothing", [None, "None", "none", "", " ", "nan", "NaN", "null", NAN])
def test_missing_labels_are_null(document, nothing):
    (row,) = read(
        document
        | {"formation_energy_per_atom": nothing, "efermi": nothing, "band_gap": nothing, "is_hubbard": None}
    )
    assert row["reason"] is None
    for name in ("formation_energy_per_atom", "efermi", "band_gap", "is_insulator", "is_hubbard"):
        assert row[name] is None


def test_labels_that_are_absent_are_null(document):
    (row,) = read(document)
    assert row["reason"] is None
    known = {name for name, value in row.items() if value is not None}
    assert known == {
        "material_id", "formula", "lattice", "atomic_numbers", "frac_coords", "magnetic_moments"
    }  # fmt: skip


@pytest.mark.parametrize("energy", ["-1.5", " -1.5 ", -1.5, "-15e-1"])
def test_numbers_as_text(document, energy):
    assert read(document | {"formation_energy_per_atom": energy})[0]["formation_energy_per_atom"] == -1.5


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"formation_energy_per_atom": "abc"}, "label is not a number", "formation_energy_per_atom = 'abc'"),
        ({"formation_energy_per_atom": [1]}, "label is not a number", "formation_energy_per_atom = [1]"),
        ({"formation_energy_per_atom": True}, "label is not a number", "formation_energy_per_atom = True"),
        ({"band_gap": {"other": 1}}, "label is not a number", "band_gap = {'other': 1}"),
        ({"formation_energy_per_atom": INF}, "label out of range", "formation_energy_per_atom = inf eV/atom"),
        ({"efermi": -INF}, "label out of range", "efermi = -inf eV"),
        ({"efermi": "inf"}, "label out of range", "efermi = inf eV"),
        ({"formation_energy_per_atom": 50.1}, "label out of range", "= 50.1 eV/atom"),
        ({"band_gap": -0.1}, "label out of range", "band_gap = -0.1 eV"),
        ({"total_magnetization": 1e5}, "label out of range", "total_magnetization = 100000 muB"),
        ({"is_hubbard": "yes"}, "label is not true or false", "is_hubbard = 'yes'"),
        ({"is_hubbard": 1}, "label is not true or false", "is_hubbard = 1"),
        ({"symmetry": {"number": 0}}, "space group out of range", "spacegroup_number = 0"),
        ({"symmetry": {"number": 231}}, "space group out of range", "spacegroup_number = 231"),
        ({"symmetry": {"number": 2.5}}, "space group out of range", "spacegroup_number = 2.5"),
        ({"symmetry": {"number": "P1"}}, "label is not a number", "spacegroup_number = 'P1'"),
        ({"nsites": 3}, "file disagrees with its crystal", "it says 3 atoms, its sites are 2"),
        ({"volume": 1.5}, "file disagrees with its crystal", "it says a volume of 1.5 A^3"),
        ({"structure": None}, "no structure", ""),
        ({"structure": ""}, "no structure", ""),
        ({"structure": 5}, "structure is malformed", "a int where a structure was expected"),
        ({"structure": []}, "structure is malformed", "a list where"),
        ({"structure": {}}, "structure is malformed", "no entry 'lattice'"),
        ({"structure": "no CIF at all"}, "structure is malformed", "CIF"),
    ],
)
def test_bad_record(document, change, reason, detail):
    (row,) = read(document | change)
    assert row["reason"] == reason
    assert row["detail"].startswith("file, line 1")
    assert detail in row["detail"]
    assert row["material_id"] == "mp-7"  # what is known stays known


@pytest.mark.parametrize("name", ["formation_energy_per_atom", "e_above_hull"])
def test_range_ends_belong_to_it(document, name):
    for value in (-50.0, 50.0):
        assert read(document | {name: value})[0][name] == value


@pytest.mark.parametrize(
    ("make", "reason", "detail"),
    [
        (lambda s: changed(s, abc=[NAN, 0, 0]), "coordinates are not finite", ""),
        (lambda s: changed(s, abc=[INF, 0, 0]), "coordinates are not finite", ""),
        (lambda s: in_cell(s, [[NAN] * 3] * 3), "cell is not finite", ""),
        (lambda s: in_cell(s, [[3, 0, 0], [0, 4, 0], [3, 4, 0]]), "cell has no volume", "0 A^3"),
        (lambda s: in_cell(s, [[0] * 3] * 3), "cell has no volume", ""),
        (lambda s: in_cell(s, np.diag([0.4] * 3)), "cell has no volume", "for 2 atoms"),
        (lambda s: in_cell(s, [[3, 0, 0], [0, 4, 0]]), "structure is malformed", "(2, 3)"),
        (lambda s: s | {"lattice": {}}, "structure is malformed", "matrix"),
        (lambda s: in_cell(s, np.diag([1e5] * 3)), "cell or coordinates out of range", ""),
        (lambda s: changed(s, abc=[1e7, 0, 0]), "cell or coordinates out of range", ""),
        (lambda s: changed(s, abc=[0, 0]), "structure is malformed", ""),
        (lambda s: changed(s, abc=["a", 0, 0]), "structure is malformed", "ValueError"),
        (lambda s: changed(s, abc=None), "structure is malformed", ""),
        (lambda s: changed(s, species=[{"element": "Fe", "occu": 0.5}]), "partial occupancies", "Fe 0.5"),
        (
            lambda s: changed(s, species=[{"element": "Fe", "occu": 0.5}, {"element": "Ni", "occu": 0.5}]),
            "partial occupancies",
            "Fe 0.5, Ni 0.5",
        ),
        (lambda s: changed(s, species=[]), "partial occupancies", ""),
        (lambda s: changed(s, species="Fe"), "structure is malformed", ""),
        (lambda s: changed(s, species=[{"element": "Xx", "occu": 1}]), "unknown element", "'Xx'"),
        (lambda s: changed(s, species=[{"element": "X0+", "occu": 1}]), "unknown element", "'X0+'"),
        (lambda s: changed(s, species=[{"element": ["Fe"], "occu": 1}]), "structure is malformed", ""),
        (lambda s: s | {"sites": []}, "no atoms", ""),
        (lambda s: s | {"sites": None}, "structure is malformed", ""),
        (lambda s: s | {"sites": [1, 2]}, "structure is malformed", ""),
        (lambda s: changed(s, abc=[0.5, 0.5, -0.5]), "atoms coincide", "sites 0 and 1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("as_text", [False, True], ids=["dict", "text"])
def test_bad_structure(document, make, reason, detail, as_text):
    bad = make(document["structure"])
    (row,) = read(document | {"structure": json.dumps(bad) if as_text else bad})
    assert row["reason"] == reason
    assert detail in row["detail"]
    assert row["material_id"] == "mp-7"


@pytest.mark.parametrize("given", [{}, {"material_id": None}, {"material_id": ""},
                                   {"material_id": True}, {"material_id": ["mp-1"]}])  # fmt: skip
def test_no_id(structure, given):
    (row,) = read({"structure": structure} | given)
    assert row["reason"] == "no id"
    assert row["material_id"] is None
    assert "material_id, task_id" in row["detail"]


def test_numbers_are_ids_of_some_sources(structure):
    assert read({"structure": structure, "material_id": 18927})[0]["material_id"] == "18927"


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"material_id": "mp-\xff"}', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "a list where a document was expected"),
        (b"null", "a NoneType where a document was expected"),
        (b'"text"', "a str where a document was expected"),
        (None, "no bytes"),
    ],
)
def test_unreadable_document(document, detail):
    (row,) = read(document)
    assert row["reason"] == "document cannot be read"
    assert row["detail"].startswith("file, line 1: ")
    assert detail in row["detail"]
    assert "\n" not in row["detail"]


def test_bad_rows_leave_their_neighbours_alone(document):
    rows = read(document, b"{", document | {"material_id": "mp-8"})
    assert [row["reason"] for row in rows] == [None, "document cannot be read", None]
    assert [row["material_id"] for row in rows] == ["mp-7", None, "mp-8"]
    assert rows[1]["detail"].startswith("file, line 2")


def test_nan_of_python_is_read(document):
    raw = json.dumps(document | {"efermi": NAN, "band_gap": 1.0}).encode()
    assert b"NaN" in raw
    (row,) = read(raw)
    assert row["reason"] is None
    assert row["efermi"] is None
    assert row["band_gap"] == 1.0


@pytest.mark.parametrize(("n", "reason"), [(MAX_SITES, None), (MAX_SITES + 1, "too many atoms")])
def test_largest_cell(document, structure_dict, n, reason):
    chain = structure_dict(
        [[3, 0, 0], [0, 3, 0], [0, 0, 1.0 * n]], ["C"] * n, [(0, 0, i / n) for i in range(n)]
    )
    assert read(document | {"structure": chain})[0]["reason"] == reason


def pymatgen_structure():
    return Structure(
        Lattice.monoclinic(3, 4, 5, 100),
        ["Fe", "O"],
        [[0, 0, 0], [0.5, 0.5, 0.25]],
        site_properties={"magmom": [2.0, 0.0]},
    )


@pytest.mark.parametrize("form", ["dict", "text", "cif"])
def test_forms_of_a_structure(form):
    structure = pymatgen_structure()
    value = {
        "dict": structure.as_dict(),
        "text": json.dumps(structure.as_dict()),
        "cif": structure.to(fmt="cif", symprec=None),
    }[form]
    crystal = read_structure(value).crystal
    assert crystal.atomic_numbers.tolist() == [26, 8]
    np.testing.assert_allclose(crystal.frac_coords, structure.frac_coords, atol=1e-7)
    assert crystal.volume == pytest.approx(structure.volume, rel=1e-6)
    if form == "cif":
        assert crystal.magnetic_moments is None
    else:
        assert crystal.magnetic_moments.tolist() == [2.0, 0.0]
        np.testing.assert_allclose(crystal.lattice, structure.lattice.matrix)


def test_cartesian_coordinates(structure):
    lattice = np.array(structure["lattice"]["matrix"])
    sites = [
        {k: v for k, v in site.items() if k != "abc"} | {"xyz": (np.array(site["abc"]) @ lattice).tolist()}
        for site in structure["sites"]
    ]
    crystal = read_structure(structure | {"sites": sites}).crystal
    np.testing.assert_allclose(crystal.frac_coords, [[0, 0, 0], [0.5, 0.5, 0.5]], atol=1e-15)


def test_coordinates_of_a_cif_are_not_rounded():
    """pymatgen would make 1/3 of 0.3333."""
    structure = Structure(Lattice.cubic(4), ["Fe", "O"], [[0.3333, 0.6667, 0.5], [0, 0, 0]])
    crystal = read_structure(structure.to(fmt="cif")).crystal
    assert crystal.frac_coords[0].tolist() == [0.3333, 0.6667, 0.5]


def test_cif_with_symmetry_is_expanded():
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0] * 3, [0.5] * 3])
    crystal = read_structure(structure.to(fmt="cif", symprec=0.01)).crystal
    assert sorted(crystal.atomic_numbers.tolist()) == [11] * 4 + [17] * 4


def test_disordered_cif(document):
    disordered = Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    (row,) = read(document | {"structure": disordered.to(fmt="cif")})
    assert row["reason"] == "partial occupancies"
    assert row["material_id"] == "mp-7"


@pytest.mark.parametrize("isotope", ["D", "T"])
def test_isotopes_are_hydrogen(structure, isotope):
    crystal = read_structure(changed(structure, species=[{"element": isotope, "occu": 1}])).crystal
    assert crystal.atomic_numbers.tolist() == [1, 8]


def test_deuterium_in_a_cif():
    structure = Structure(Lattice.cubic(4), ["D", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert read_structure(structure.to(fmt="cif")).crystal.atomic_numbers.tolist() == [1, 8]


def test_oxidation_states_and_missing_occupancies_are_fine(structure):
    species = [{"element": "Fe", "oxidation_state": 3}]
    assert read_structure(changed(structure, species=species)).crystal.atomic_numbers.tolist() == [26, 8]


@pytest.mark.parametrize("properties", [None, {}, {"magmom": None}, {"magmom": NAN}, {"magmom": [0, 0, 1]}])
def test_moments_are_of_all_atoms_or_none(structure, properties):
    assert read_structure(structure).crystal.magnetic_moments.tolist() == [2.0, -0.5]
    assert read_structure(changed(structure, properties=properties)).crystal.magnetic_moments is None


HUGE = 10**400


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"material_id": "\\ud800"}', id="half a surrogate pair as id"),
        pytest.param(b'{"material_id": "mp-1", "database_version": "\\ud800"}', id="as version"),
        pytest.param(b'{"material_id": "mp-1", "structure": "{\\ud800"}', id="as structure"),
    ],
)
def test_text_that_is_no_unicode(raw):
    (row,) = read(raw)
    assert row["reason"] is not None


def test_integers_beyond_floats(document):
    assert read(document | {"efermi": HUGE})[0]["reason"] == "label out of range"


def test_moment_beyond_floats(document):
    bad = changed(document["structure"], properties={"magmom": HUGE})
    assert math.isclose(read(document | {"structure": bad})[0]["frac_coords"][3], 0.5)


def test_occupancy_nan(document):
    bad = changed(document["structure"], species=[{"element": "Fe", "occu": NAN}])
    assert read(document | {"structure": bad})[0]["reason"] == "partial occupancies"


def test_cif_with_an_unknown_element(document):
    cif = Structure(Lattice.cubic(3), ["X"], [[0, 0, 0]]).to(fmt="cif")
    assert read(document | {"structure": cif})[0]["reason"] == "unknown element"


# ---------------------------------------------------------------- anything at all

scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=8).filter(
        lambda text: text.isprintable() and text.isascii()
    )
)  # fmt: skip
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.", max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
GOOD = {
    "material_id": "mp-1",
    "structure": {
        "lattice": {"matrix": [[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.5, 0.0, 5.0]]},
        "sites": [
            {"species": [{"element": "Fe", "occu": 1}], "abc": [0.0, 0.0, 0.0], "properties": {"magmom": 2}},
            {"species": [{"element": "O", "occu": 1}], "abc": [0.5, 0.5, 0.5], "properties": {"magmom": 0}},
        ],
    },
    "efermi": 3.5,
    "band_gap": {"search_gap": {"band_gap": 1.0}},
    "magnetism": {"total_magnetization": 2.0},
    "symmetry": {"number": 2},
    "is_hubbard": False,
    "builder_meta": {"database_version": "2023.11.1"},
    "created_at": "2015-03-08T12:58:28.539",
}


def places(value, path=()):
    """Every path in a document, that of the whole one included."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


def with_value(document, path, value):
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = with_value(document[path[0]], path[1:], value)
    return copy


#: A good document with something else at any place in it; some of these are still good.
documents = st.builds(with_value, st.just(GOOD), st.sampled_from(list(places(GOOD))), anything)


@settings(max_examples=150, deadline=None)
@given(st.lists(documents.map(json.dumps).map(str.encode) | st.binary(max_size=20), max_size=4))
def test_nothing_raises_and_nothing_is_lost(raw):
    records = read_documents(batch(*raw))
    assert records.schema == RECORD
    assert records.num_rows == len(raw)
    for document, row in zip(raw, records.to_pylist(), strict=True):
        assert (row["reason"] is None) == (row["detail"] is None)
        if row["reason"] is None:
            assert row["material_id"]
            n = len(row["atomic_numbers"])
            assert len(row["lattice"]) == 9
            assert len(row["frac_coords"]) == 3 * n > 0
            assert np.isfinite(row["lattice"] + row["frac_coords"]).all()
        if document.startswith(b'{"material_id": "mp-1", '):
            assert row["material_id"] == "mp-1"


@pytest.mark.parametrize("edge", [0.01, 0.09, 0.2, 0.49])
@pytest.mark.parametrize("sheared", [False, True])
def test_a_lattice_vector_shorter_than_any_bond(edge, sheared):
    """A symmetry search would look at any number of images, and once did not come back."""
    matrix = np.diag([500.0, edge, 500.0])
    if sheared:
        matrix[1] += 7 * matrix[0]
    structure = {
        "lattice": {"matrix": matrix.tolist()},
        "sites": [{"species": [{"element": "F"}], "abc": [0, 0, 0]}],
    }
    with pytest.raises(RecordError) as caught:
        read_structure(structure)
    assert caught.value.reason == "atoms coincide"
    assert caught.value.detail == f"every atom and an image of it are {edge:.3g} A apart"


@pytest.mark.parametrize("written", ["7E10", "1.50", "12", "0.0", '"0012"', '"T"', '"1_0"', '"7E10"'])
def test_an_id_is_text_as_it_is_written(document, written):
    text = json.dumps(document | {"material_id": "?"}).replace('"?"', written)
    (row,) = read_documents(batch(text.encode())).to_pylist()
    assert (row["material_id"], row["reason"]) == (written.strip('"'), None)


def test_numbers_that_the_schema_does_not_know_are_named(document):
    known = {"nsites": 2, "efermi": 1.0, "task_id": "mp-9", "structure_vintage": "2025"}
    (row,) = read(
        document | known | {"k_vrh": 99.5, "stable": True, "note_of_mine": "good", "volume": "12.5"}
    )
    assert row["unknown_fields"] == ["structure_vintage", "k_vrh", "stable", "volume"]


def test_a_document_says_that_it_is_synthetic(document):
    assert [row["synthetic"] for row in read(document, document | {"synthetic": True})] == [None, True]


def test_a_resource_of_optimade_has_its_structure_in_its_attributes():
    attributes = {
        "lattice_vectors": [[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0]],
        "cartesian_site_positions": [[0, 0, 0], [2.0, 2.0, 2.0]],
        "species_at_sites": ["Li", "F"],
        "dimension_types": [1, 1, 1],
    }
    (row,) = read({"id": "0012", "type": "structures", "attributes": attributes})
    assert (row["material_id"], row["formula"], row["reason"]) == ("0012", "Li1 F1", None)
    (row,) = read({"id": "0012", "attributes": attributes | {"dimension_types": [1, 1, 0]}})
    assert row["reason"] == "not periodic in three directions"
