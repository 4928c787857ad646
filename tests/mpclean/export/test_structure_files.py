"""What pymatgen reads of its CIF and POSCAR files."""

from pymatgen.core import Structure
from pymatgen.io.cif import CifParser
from pymatgen.io.vasp import Poscar

from mpclean.crystal import read_crystals


def test_cif(exported, same_crystal):
    folder, expected = exported("cif", "cif", split="train")
    assert len(list(folder.iterdir())) == len(expected) > 100
    for crystal, labels in expected:
        # Rounding of coordinates near 1/3 would be the reader's own.
        parser = CifParser(folder / f"{labels['material_id']}.cif", frac_tolerance=0)
        (structure,) = parser.parse_structures(primitive=False)
        same_crystal(structure, crystal)


def test_poscar(exported, same_arrays):
    folder, expected = exported("poscar", "poscar", split="train")
    assert len(list(folder.iterdir())) == len(expected) > 100
    for crystal, labels in expected:
        path = folder / f"{labels['material_id']}.vasp"
        poscar = Poscar.from_file(path)
        read = poscar.structure
        numbers = [site.specie.Z for site in read]
        same_arrays(read.lattice.matrix, numbers, read.frac_coords, crystal)
        assert poscar.comment == labels["material_id"]
        assert Structure.from_file(path) == read
    (again,) = read_crystals(path)
    same_arrays(again.lattice, again.atomic_numbers, again.frac_coords, crystal)
