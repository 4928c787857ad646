"""Small files of the kinds that people reported bugs about: the right crystal, or a refusal that says why."""

from pathlib import Path
from typing import Any

import pytest

from mpclean.crystal.formula import formula
from mpclean.crystal.reading import read_file
from mpclean.errors import RecordError
from mpclean.sources import open_source, recognise
from mpclean.sources.documents import read_documents


@pytest.fixture
def field(data: Path) -> Path:
    folder = data / "field"
    if not folder.is_dir():
        pytest.skip(f"{folder}: not there")
    return folder


def problem(path: Path) -> RecordError:
    (entry,) = read_file(path)
    assert entry.problem is not None
    return entry.problem


def records(path: Path) -> list[dict[str, Any]]:
    source = open_source(recognise(path), path)
    return [row for batch in source.batches() for row in read_documents(batch).to_pylist()]


def test_poscar_without_symbols(field: Path) -> None:
    assert problem(field / "POSCAR").reason == "unknown element"
    assert "no line of element symbols" in problem(field / "POSCAR").detail


@pytest.mark.parametrize("name", ["perov.cif", "occdot.cif"])
def test_old_symbol_and_unknown_occupancy(field: Path, name: str) -> None:
    (entry,) = read_file(field / name)
    assert formula(entry.crystal.atomic_numbers) == "Sr1 Ti1 O3"


def test_hydrogen_without_sites(field: Path) -> None:
    said = str(problem(field / "noH.cif"))
    assert "'H2 Mg O2'" in said
    assert "Mg1 O2" in said


def test_partial_occupancies_of_extended_xyz(field: Path) -> None:
    (row,) = records(field / "alloy.extxyz")
    assert row["reason"] == "partial occupancies"
    assert "Na 0.6, K 0.4" in row["detail"]
    assert problem(field / "alloy.extxyz").reason == "partial occupancies"


def test_ids_of_extended_xyz(field: Path) -> None:
    rows = records(field / "ids.extxyz")
    assert [row["material_id"] for row in rows] == ["0012", "12", "7E10"]
    assert [row["reason"] for row in rows] == [None] * 3


def test_slab(field: Path) -> None:
    (row,) = records(field / "slab.jsonl")
    assert row["material_id"] == "slab-1"
    assert row["reason"] == "not periodic in three directions"


def test_normalised_entry(field: Path) -> None:
    rows = {row["material_id"]: row for row in records(field / "nm.jsonl")}
    assert [rows[name]["formation_energy_per_atom"] for name in ("mp-10", "mp-11")] == [0.0, 0.0]
    assert rows["mp-13"]["reason"] == "file disagrees with its crystal"
    assert "Mg0.25 O0.25" in rows["mp-13"]["detail"]
    assert "Mg4 O4" in rows["mp-13"]["detail"]
    assert rows["mp-13"]["formation_energy_per_atom"] is None


def test_two_blocks(field: Path) -> None:
    rows = records(field / "two_blocks")
    assert [(row["material_id"], row["reason"]) for row in rows] == [
        ("a:salt", None),
        ("a:periclase", None),
        ("b:salt", "structure is malformed"),
        ("b:periclase", None),
    ]
    assert [row["formula"] for row in rows] == ["Na4 Cl4", "Mg4 O4", None, "Mg4 O4"]


def test_list_with_a_mark(field: Path) -> None:
    assert len([entry.crystal for entry in read_file(field / "bom_list.json")]) == 4
