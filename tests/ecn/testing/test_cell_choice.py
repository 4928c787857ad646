"""What a model says does not depend on how a crystal is written, if it is given canonical cells."""

import math

import numpy as np
import pytest
import torch
from moyopy import SpaceGroupType
from pymatgen.core import Lattice, Structure

import ecn
from ecn.models import MODELS, build
from ecn.testing import cell_choice_spread, equivalent_cells
from mpclean.crystal.bravais import BRAVAIS_TYPES
from mpclean.crystal.cells import PrimitiveCell, pearson_symbols, primitive_cell
from mpclean.crystal.crystal import Crystal

#: Of each Bravais type a space group with fewer operations than the lattice, so that equal
#: bases of the lattice are different descriptions of the crystal.
GROUPS = (1, 4, 8, 19, 20, 44, 22, 75, 79, 146, 143, 195, 197, 196)

#: Every model, and more groups of the network that knows cells.
NETWORKS = [(name, {}) for name in MODELS] + [
    ("ecn", {"group": group}) for group in ("P1bar", "tI", "cF", "lattice")
]


def lattice_of(number, volume):
    ratios = np.array([1.0, 1.13, 1.29])
    if number >= 195:
        ratios[:] = 1.0
    elif number >= 75:
        ratios[1] = 1.0
    angles = [90.0] * 3
    if number <= 2:
        angles = [81.0, 84.0, 97.0]
    elif number <= 15:
        angles[1] = 98.0
    elif 143 <= number <= 194:
        angles[2] = 120.0
    return Lattice.from_parameters(*ratios, *angles).scale(volume)


def crystal_of(number):
    """Two elements in general positions of a space group, 30 A^3 for each atom."""
    rng = np.random.default_rng(number)
    elements = rng.choice(["Sr", "Ba", "La", "Ag", "Sn", "Sb", "Bi", "U"], size=2, replace=False)
    symbol = SpaceGroupType(number).hm_short
    lattice = lattice_of(number, 1.0)
    while True:
        coords = rng.uniform(size=(2, 3))
        structure = Structure.from_spacegroup(symbol, lattice, elements, coords)
        structure.scale_lattice(30.0 * len(structure))
        distances = structure.distance_matrix + 9.0 * np.eye(len(structure))
        if distances.min() > 2.0:
            return primitive_cell(Crystal.from_pymatgen(structure)).crystal


@pytest.fixture(scope="module")
def crystals():
    return [crystal_of(number) for number in GROUPS]


@pytest.fixture(scope="module")
def perovskites():
    """The only crystals of the model `prototype`; the moves of their atoms keep no symmetry."""
    rng = np.random.default_rng(0)
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return [
        Crystal(
            a * np.eye(3),
            np.array([first, second, 8, 8, 8], dtype=np.uint8),
            sites + amplitude * rng.uniform(-1, 1, (5, 3)),
        )
        for first, second, a, amplitude in [(38, 22, 3.9, 0), (56, 22, 4.0, 0.02), (20, 40, 4.1, 0.01)]
    ]


def network(name, options):
    torch.manual_seed(0)
    return build(name, {"width": 16, "n_layers": 2, **options})


def as_given(crystal):
    return PrimitiveCell(crystal, "aP")


def test_crystals_are_of_every_type(crystals):
    assert [primitive_cell(crystal).bravais_lattice for crystal in crystals] == list(BRAVAIS_TYPES)
    assert all(len(pearson_symbols(crystal)) == 1 for crystal in crystals)


def relative_spread(predict, crystals, n):
    """The spread of each crystal, in units of the deviation between crystals."""
    return cell_choice_spread(predict, crystals, n) / np.std(predict(crystals).numpy())


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_on_canonical_cells_the_spread_is_rounding(crystals, perovskites, predictor, name, options):
    crystals = perovskites if name == "prototype" else crystals
    spread = relative_spread(predictor(network(name, options)), crystals, n=4)
    assert spread.shape == (len(crystals),)
    assert spread.max() < 1e-8


@pytest.mark.parametrize("group", ["S8", "P1bar"])
def test_on_cells_as_given_it_is_not(crystals, predictor, group):
    """The other way round: with canonical cells left out, the measure finds what they are for."""
    spread = relative_spread(predictor(network("ecn", {"group": group}), as_given), crystals, n=4)
    assert spread.min() > 1e-4
    assert spread.max() > 1e-2


def test_a_network_without_cells_has_none_even_so(crystals, predictor):
    assert relative_spread(predictor(network("cgcnn", {}), as_given), crystals, n=4).max() < 1e-8


def test_a_trained_model_as_it_is_used(run, crystals):
    spread = cell_choice_spread(ecn.load(run).predict, crystals[:3], n=3)
    assert spread.shape == (3,)
    assert spread.max() < 1e-5  # eV/atom, single precision


def test_spread_is_the_range_of_the_predictions(crystals):
    numbers = iter([3.0, 1.0, 2.0, -1.0, -1.0, -1.0, 0.0, math.nan, 1.0])
    spread = cell_choice_spread(lambda cells: [next(numbers) for _ in cells], crystals[:3], n=3)
    np.testing.assert_array_equal(spread, [2.0, 0.0, math.nan])


def test_predictions_that_are_missing(crystals):
    with pytest.raises(ValueError, match="5 predictions for 6 crystals"):
        cell_choice_spread(lambda cells: [0.0] * (len(cells) - 1), crystals[:2], n=3)


def test_no_crystals(crystals):
    assert cell_choice_spread(lambda cells: [], [], n=3).shape == (0,)


def test_equivalent_cells_are_one_crystal(crystals):
    for crystal in crystals:
        moments = np.arange(len(crystal), dtype=float)
        marked = Crystal(crystal.lattice, crystal.atomic_numbers, crystal.frac_coords, moments)
        distances = sorted_distances(marked)
        for cell in equivalent_cells(marked, n=3):
            assert cell.volume == pytest.approx(crystal.volume)
            atom = cell.magnetic_moments.astype(int)  # which atom of the crystal each one is
            np.testing.assert_array_equal(np.sort(atom), np.arange(len(crystal)))
            np.testing.assert_array_equal(cell.atomic_numbers, crystal.atomic_numbers[atom])
            np.testing.assert_allclose(sorted_distances(cell), distances, atol=1e-9)


def sorted_distances(crystal):
    """Moments of the two atoms and distance, for all pairs within 6 A, in one order."""
    source, target, _, length = crystal.to_pymatgen().get_neighbor_list(6.0)
    moments = crystal.magnetic_moments
    order = np.lexsort((np.round(length, 6), moments[target], moments[source]))
    return np.stack([moments[source], moments[target], length], axis=1)[order]


def test_equivalent_cells_differ_in_everything():
    crystal = crystal_of(19)
    cells = equivalent_cells(crystal, n=10, seed=1)
    bases = [cell.lattice @ cell.lattice.T for cell in cells]
    assert len({tuple(np.round(metric.ravel(), 6)) for metric in bases}) > 5
    assert {np.sign(np.linalg.det(cell.lattice)) for cell in cells} == {-1.0, 1.0}
    assert len({tuple(cell.atomic_numbers) for cell in cells}) > 5
    assert len({tuple(np.floor(cell.frac_coords).ravel()) for cell in cells}) == 10
    origins = [cell.frac_coords.mean(axis=0) % 1.0 for cell in cells]
    assert len({tuple(np.round(origin, 6)) for origin in origins}) == 10


def test_equivalent_cells_come_from_the_seed():
    crystal = crystal_of(19)
    one, same, other = (equivalent_cells(crystal, n=2, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one[1].frac_coords, same[1].frac_coords)
    assert not np.allclose(one[1].lattice, other[1].lattice)
