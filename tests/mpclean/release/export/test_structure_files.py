"""What pymatgen reads of its CIF and POSCAR files, and the labels beside them."""

import json

import numpy as np
import pytest
from pymatgen.core import Structure
from pymatgen.io.vasp import Poscar

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading import read_file
from mpclean.release.export.structure_files import cif

# pymatgen says that it rounds 0.3333333333 to 1/3.
pytestmark = pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF")


@pytest.mark.parametrize("name", ["cif", "poscar"])
@pytest.mark.parametrize("config", [None, "insulators"])
def test_labels(exported, name, config):
    folder, expected = exported(name, name, part="test", config=config)
    lines = (folder / "labels.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [labels for _, labels in expected]
    assert {"material_id", "band_gap"} < expected[0][1].keys()


def test_cif(exported, same_crystal):
    folder, expected = exported("cif", "cif", part="train")
    assert len(list(folder.glob("*.cif"))) == len(list(folder.iterdir())) - 1 == len(expected) > 100
    for crystal, labels in expected:
        same_crystal(Structure.from_file(folder / f"{labels['material_id']}.cif"), crystal)


def test_cif_of_coordinates_near_thirds(same_crystal):
    """pymatgen takes them for thirds, in the cell where they would be looked for."""
    thirds = np.array([1 / 3, 1 / 3 + 1e-9, 1 / 3 - 3e-5, 2 / 3 + 6e-5, 2 / 3 - 9e-5, 0.9])
    crystal = Crystal(10 * np.eye(3), np.array([11, 17], np.uint8), thirds.reshape(2, 3))
    same_crystal(Structure.from_str(cif(crystal), fmt="cif"), crystal)


def test_poscar(exported, same_arrays):
    folder, expected = exported("poscar", "poscar", part="train")
    assert len(list(folder.glob("*.vasp"))) == len(list(folder.iterdir())) - 1 == len(expected) > 100
    for crystal, labels in expected:
        path = folder / f"{labels['material_id']}.vasp"
        poscar = Poscar.from_file(path)
        read = poscar.structure
        numbers = [site.specie.Z for site in read]
        same_arrays(read.lattice.matrix, numbers, read.frac_coords, crystal)
        assert poscar.comment == labels["material_id"]
        assert Structure.from_file(path) == read
    (again,) = (entry.crystal for entry in read_file(path))
    same_arrays(again.lattice, again.atomic_numbers, again.frac_coords, crystal)
