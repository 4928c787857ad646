"""What rows state of themselves: energies of several kinds are found, and so is the licence of every row."""

import json

import pyarrow as pa
import pytest
from click.testing import CliRunner

import mpclean
from mpclean.cli import main
from mpclean.inspection.audit.provenance import COLUMNS, licences, mixtures
from mpclean.vocabulary.schema import COLUMNS as VOCABULARY


def rows(*changes, columns=COLUMNS):
    """Energies of PBE without U, each with changes; ids go backwards."""
    plain = {
        "reduced_formula": "FeO",
        "formation_energy_per_atom": -1.0,
        "is_hubbard": False,
        "run_type": "GGA",
    }
    listed = [{"material_id": f"mp-{9 - k}", **plain, **change} for k, change in enumerate(changes)]
    return pa.Table.from_pylist(listed, pa.schema([(name, VOCABULARY[name].type) for name in columns]))


def found(*changes, hull="pbe"):
    return {one.name: (one.records, one.examples) for one in mixtures(rows(*changes), hull)}


def test_energies_of_one_kind_are_no_finding():
    without_energy = {"formation_energy_per_atom": None, "run_type": "r2SCAN", "is_hubbard": True}
    assert found({}, {}, {"run_type": "GGA"}, {"run_type": "PBE"}, {"run_type": None}, without_energy) == {}


def test_functionals():
    assert found({}, {"run_type": "r2SCAN"}, {"run_type": "R2SCAN"}, {"run_type": "SCAN"}, {}, {}) == {
        "functional": (
            {"PBE": 3, "r2SCAN": 2, "SCAN": 1},
            {"PBE": ["mp-4", "mp-5", "mp-9"], "r2SCAN": ["mp-7", "mp-8"], "SCAN": ["mp-6"]},
        )
    }


def test_hubbard_u_and_where_it_is_mixed_within_a_formula():
    with_u = {"run_type": "GGA+U", "is_hubbard": True}
    mixed = found({}, with_u, with_u | {"reduced_formula": "NiO"}, {"reduced_formula": "NaCl"})
    assert mixed == {
        "hubbard": (
            {"with U": 2, "without U": 2},
            {"with U": ["mp-7", "mp-8"], "without U": ["mp-6", "mp-9"]},
        ),
        "formula": ({"with U": 1, "without U": 1}, {"with U": ["mp-8"], "without U": ["mp-9"]}),
    }


@pytest.mark.parametrize("run_type", ["GGA+U", "GGA_U", "PBE+U"])
def test_the_run_type_tells_of_u_where_the_flag_is_unknown(run_type):
    unknown = {"is_hubbard": None, "run_type": run_type, "reduced_formula": "NiO"}
    assert found({}, unknown)["hubbard"][0] == {"with U": 1, "without U": 1}
    assert "contradiction" not in found({}, unknown)


def test_run_type_and_flag_that_disagree():
    assert found({}, {"run_type": "GGA+U"}) == {
        "contradiction": (
            {"run type and is_hubbard disagree": 1},
            {"run type and is_hubbard disagree": ["mp-8"]},
        )
    }


@pytest.mark.parametrize(
    ("name", "column"), [("correction", "correction_scheme"), ("version", "database_version")]
)
def test_schemes_and_versions(name, column):
    assert found({column: "new"}, {column: "old"}, {column: "new"}, {}) == {
        name: ({"new": 2, "old": 1}, {"new": ["mp-7", "mp-9"], "old": ["mp-8"]})
    }


def test_hull():
    assert found({}, {}, hull="mixed") == {
        "hull": ({"GGA_GGA+U_R2SCAN": 2}, {"GGA_GGA+U_R2SCAN": ["mp-8", "mp-9"]})
    }


def test_nothing_is_stated():
    table = rows({}, {}, columns=COLUMNS[:4])
    assert mixtures(table, None) == []
    assert licences(table, "CC-BY-4.0") == {"CC-BY-4.0": {"records": 2, "stated": 0}}


def test_licence_of_every_row():
    table = rows({"licence": "MIT"}, {"licence": "CC-BY-4.0"}, {}, {}, {"licence": "MIT"})
    assert licences(table, "CC-BY-4.0") == {
        "CC-BY-4.0": {"records": 3, "stated": 1},
        "MIT": {"records": 2, "stated": 2},
    }
    assert licences(table, "unknown")["unknown"] == {"records": 2, "stated": 0}
    assert licences(table.slice(0, 2), "unknown") == {
        "CC-BY-4.0": {"records": 1, "stated": 1},
        "MIT": {"records": 1, "stated": 1},
    }


def test_command(rock_salt, write_lines, tmp_path):
    """A source that mixes functionals and states licences is told so, and its splits keep their promise."""
    documents = [rock_salt(n, run_type="GGA", is_hubbard=False) for n in range(12)]
    documents += [rock_salt(n, run_type="r2SCAN", is_hubbard=None, license="MIT") for n in range(12, 15)]
    path = write_lines(tmp_path / "docs.jsonl", documents)
    mpclean.build(source=path, out=tmp_path / "r", workers=1)
    done = CliRunner().invoke(main, ["audit", str(tmp_path / "r"), "--workers", "1"], catch_exceptions=False)
    assert done.exit_code == 0
    cells = [line.split() for line in done.stdout.splitlines()]
    assert ["functionals", "PBE", "12", "mp-1,", "mp-10,", "mp-11"] in cells
    assert ["functionals", "r2SCAN", "3", "mp-13,", "mp-14,", "mp-15"] in cells
    assert ["unknown", "12", "0"] in cells
    assert ["MIT", "3", "3"] in cells
    as_json = CliRunner().invoke(main, ["audit", str(tmp_path / "r"), "--workers", "1", "--json"])
    summary = json.loads(as_json.stdout)
    assert summary["mixtures"][0]["records"] == {"PBE": 12, "r2SCAN": 3}
    assert summary["licences"]["MIT"] == {"records": 3, "stated": 3}
