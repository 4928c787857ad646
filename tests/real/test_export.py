"""Round trips of real crystals: what other programs read of an export is what the release holds."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from monty.json import MontyDecoder
from pymatgen.core import Structure

import mpclean
from mpclean.crystal.crystal import Crystal
from mpclean.release import Release
from mpclean.release.export import export
from mpclean.vocabulary.schema import PARTS

pytestmark = pytest.mark.slow

TOLERANCE = 1e-6  # A


@pytest.fixture(scope="module")
def release(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    out = tmp_path_factory.mktemp("real") / "summary"
    return mpclean.build(source=data / "mp_summary_docs.jsonl.gz", out=out, limit=300, workers=1)


def distances(lattice, frac_coords, crystal: Crystal):
    """From each atom of a crystal to the nearest image of each of another one, A, shape (n, n)."""
    apart = crystal.frac_coords[:, None] - np.asarray(frac_coords)
    return np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=2)


def in_order(lattice, numbers, frac_coords, crystal: Crystal) -> bool:
    """Whether arrays are those of a crystal, atom for atom."""
    far = distances(crystal.lattice, frac_coords, crystal).diagonal().max()
    same_cell = np.abs(np.asarray(lattice) - crystal.lattice).max() < TOLERANCE
    return same_cell and far < TOLERANCE and list(numbers) == crystal.atomic_numbers.tolist()


def numbers_of(structure: Structure) -> list[int]:
    return [site.specie.Z for site in structure]


def test_ase(release: Release, tmp_path: Path) -> None:
    ase_io, ase_db = pytest.importorskip("ase.io"), pytest.importorskip("ase.db")
    export(release, "extxyz", tmp_path / "a.extxyz")
    export(release, "ase-db", tmp_path / "a.db")
    frames = ase_io.read(tmp_path / "a.extxyz", index=":")
    with ase_db.connect(tmp_path / "a.db") as database:
        rows = list(database.select())
    expected = list(release.crystals())
    assert len(expected) > 150
    for frame, row, (crystal, labels) in zip(frames, rows, expected, strict=True):
        for atoms in (frame, row.toatoms()):
            coords = atoms.get_scaled_positions(wrap=False)
            assert in_order(atoms.cell.array, atoms.numbers, coords, crystal), labels["material_id"]
        assert frame.info == row.data == labels


def test_poscar(release: Release, tmp_path: Path) -> None:
    export(release, "poscar", tmp_path / "poscar")
    for crystal, labels in release.crystals():
        read = Structure.from_file(tmp_path / "poscar" / f"{labels['material_id']}.vasp")
        assert in_order(read.lattice.matrix, numbers_of(read), read.frac_coords, crystal)


def test_matbench(release: Release, tmp_path: Path) -> None:
    export(release, "matbench", tmp_path / "a.json.gz", target="band_gap")
    with gzip.open(tmp_path / "a.json.gz", "rt") as file:
        table = json.load(file, cls=MontyDecoder)
    expected = [entry for entry in release.crystals() if "band_gap" in entry[1]]
    for (read, value), (crystal, labels) in zip(table["data"], expected, strict=True):
        assert in_order(read.lattice.matrix, numbers_of(read), read.frac_coords, crystal)
        assert value == labels["band_gap"]
    assert table["index"] == [labels["material_id"] for _, labels in expected]


def same_by_element(read: Structure, crystal: Crystal) -> bool:
    """Whether a structure is a crystal in any order of atoms and any orientation, as CIF has it."""
    far = distances(crystal.lattice, read.frac_coords, crystal)
    nearest = far.argmin(axis=1)
    parameters = crystal.to_pymatgen().lattice.parameters
    return (
        np.allclose(read.lattice.parameters, parameters, rtol=0, atol=TOLERANCE)
        and sorted(nearest) == list(range(len(crystal)))
        and far.min(axis=1).max() < TOLERANCE
        and [read[k].specie.Z for k in nearest] == crystal.atomic_numbers.tolist()
    )


@pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF")
def test_cif(release: Release, tmp_path: Path) -> None:
    export(release, "cif", tmp_path / "cif")
    for crystal, labels in release.crystals():
        read = Structure.from_file(tmp_path / "cif" / f"{labels['material_id']}.cif")
        assert same_by_element(read, crystal), labels["material_id"]


@pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF")
@pytest.mark.parametrize("split", PARTS)
def test_cgcnn(release: Release, tmp_path: Path, split: str) -> None:
    """The table without a header, and `Structure.from_file` of every id, as CGCNN reads them."""
    export(release, "cgcnn", tmp_path / "cgcnn", part=split, target="formation_energy_per_atom")
    with (tmp_path / "cgcnn" / "id_prop.csv").open() as file:
        table = {material_id: float(value) for material_id, value in csv.reader(file)}
    expected = [entry for entry in release.crystals(split) if "formation_energy_per_atom" in entry[1]]
    assert table == {labels["material_id"]: labels["formation_energy_per_atom"] for _, labels in expected}
    for crystal, labels in expected:
        read = Structure.from_file(tmp_path / "cgcnn" / f"{labels['material_id']}.cif")
        assert same_by_element(read, crystal), labels["material_id"]


def test_jsonl(release: Release, tmp_path: Path) -> None:
    export(release, "jsonl", tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    for line, (crystal, labels) in zip(lines, release.crystals(), strict=True):
        written = json.loads(line)
        read = Structure.from_dict(written.pop("structure"))
        assert in_order(read.lattice.matrix, numbers_of(read), read.frac_coords, crystal)
        assert written == labels
