"""What a crystal must keep to before anything is computed of it."""

import time

import numpy as np
import pytest
from pymatgen.core import Lattice

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading.bounds import MAX_GAP, require_bounds
from mpclean.crystal.reading.cif import read_cif
from mpclean.errors import RecordError


def crystal(lattice, places):
    return Crystal(np.array(lattice, float), np.full(len(places), 11, np.uint8), np.array(places, float))


def test_a_cif_of_two_atoms_in_a_long_cell_is_refused_at_once(cif):
    text = cif("Na 0 0 0", "Cl .5 .5 .5", cell=(464, 4, 4, 90, 90, 90), space_group_IT_number=1)
    begin = time.process_time()
    with pytest.raises(RecordError, match="no atom in a layer of 232 A; at most 100 A"):
        read_cif(text)
    assert time.process_time() - begin < 1.0


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sheared", [False, True])
def test_an_empty_layer_however_the_cell_is_written(axis, sheared):
    lattice = np.eye(3) * 4.0
    lattice[axis] *= (MAX_GAP + 1) / 4.0
    if sheared:
        lattice[axis] += 7 * lattice[axis - 1]
    with pytest.raises(RecordError, match="no atom in a layer of 101 A"):
        require_bounds(crystal(lattice, [[0.3, 0.2, 0.1]]))


def test_long_cells_full_of_atoms_pass():
    """Polytypes repeat after more than 100 A."""
    places = [[0, 0, z] for z in np.arange(0, 1, 1 / 80)]
    require_bounds(crystal(Lattice.hexagonal(3.1, 200).matrix, places))


def test_the_vacuum_of_a_slab_passes():
    require_bounds(crystal(np.diag([4.0, 4.0, 40.0]), [[0, 0, 0]]))
