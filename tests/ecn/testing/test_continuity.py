"""Predictions that jump, and those that do not because messages fade."""

import numpy as np
import pytest
import torch

from ecn.models import resolve
from ecn.models.features import longest_bond, smooth_step
from ecn.testing import displaced, largest_changes, random_batch
from ecn.testing.continuity import STEPS
from mpclean.crystal.cells import PrimitiveCell
from mpclean.crystal.crystal import Crystal


def symmetric_crystals():
    """Two elements on a simple cubic lattice, whose Voronoi cells meet along edges."""
    corners = np.stack(np.meshgrid(*[[0.0, 0.5]] * 3, indexing="ij"), -1).reshape(-1, 3)
    elements = np.array([19, 37, 37, 19, 19, 19, 37, 19], np.uint8)
    return [Crystal(6.0 * np.eye(3), elements, corners)]


def as_written(crystal):
    """Displaced atoms make another lattice: only the bonds are of interest here."""
    return PrimitiveCell(crystal, "aP")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ecn", {"group": "S8n", "symmetry_breaking": False}),
        ("ecn", {"group": "P1bar", "symmetry_breaking": False}),
        *((name, {}) for name in ("cgcnn", "megnet", "schnet")),
    ],
    ids=str,
)
def test_a_model_jumps_unless_its_messages_fade(name, options, predictor):
    cls = resolve(name)

    def changes(**fading):
        torch.manual_seed(0)
        model = cls(cls.Config(width=12, n_layers=2, **options, **fading))
        return largest_changes(predictor(model, as_written), symmetric_crystals())[0] * STEPS

    jumping, fading = changes(), changes(fade_area=0.3, fade_length=0.5)
    # Cells that touch have got faces at 1e-4 A; what a face of no size may not do, it does not.
    assert jumping[2] > 100.0 * fading[2]
    assert jumping[2] > 0.1 * jumping[4]
    assert fading[2] < 0.1 * fading[4]


def test_a_smooth_function_has_one_slope_and_a_step_has_none():
    crystals = symmetric_crystals()[:1]

    def first_coordinate(found):
        return [float((crystal.frac_coords @ crystal.lattice)[1, 0]) for crystal in found]

    slopes = largest_changes(first_coordinate, crystals, n=20)
    assert slopes.shape == (1, len(STEPS))
    np.testing.assert_allclose(slopes, slopes[0, -1], rtol=1e-3)
    assert 0.9 < slopes[0, 0] <= 1.0 + 1e-6
    rest = first_coordinate(crystals)[0]
    jump = largest_changes(lambda found: [float(x > rest) for x in first_coordinate(found)], crystals, n=20)
    np.testing.assert_allclose(jump[0] * STEPS, 1.0)


def test_the_number_of_predictions_is_checked():
    with pytest.raises(ValueError, match="1 predictions for 4 crystals"):
        largest_changes(lambda found: [0.0], symmetric_crystals()[:1], steps=[1e-3])


@pytest.mark.parametrize("step", STEPS)
def test_every_atom_moves_by_the_step(step):
    crystal = symmetric_crystals()[0]
    move = (displaced(crystal, step).frac_coords - crystal.frac_coords) @ crystal.lattice
    np.testing.assert_allclose(np.linalg.norm(move, axis=1), step, rtol=1e-6)


def test_the_step_is_flat_at_both_ends():
    x = torch.tensor([-1.0, 0.0, 1e-3, 0.5, 1.0 - 1e-3, 1.0, torch.inf], dtype=torch.float64)
    found = smooth_step(x)
    assert found[[0, 1]].tolist() == [0.0, 0.0]
    assert found[[5, 6]].tolist() == [1.0, 1.0]
    assert found[3] == 0.5
    assert found[2] < 2e-8
    assert 1.0 - found[4] < 2e-8


def test_the_longest_bond_is_that_of_a_release():
    batch = random_batch()
    limit = longest_bond(batch)
    assert limit.max() <= 6.0
    oxygen = batch._replace(atomic_numbers=torch.full_like(batch.atomic_numbers, 8))
    torch.testing.assert_close(longest_bond(oxygen), torch.full_like(limit, 2 * 0.66 + 0.5))
