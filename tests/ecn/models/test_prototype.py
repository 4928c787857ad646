"""The network of a space group: what it cannot tell apart, and what it can."""

import numpy as np
import pytest
import torch

from ecn.models.prototype import PrototypeConfig, PrototypeECN
from ecn.symmetry.spacegroup import PROTOTYPES
from ecn.testing import perovskite_batch, random_batch
from mpclean.crystal.bravais import point_group
from mpclean.errors import UserError

N = 3


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PrototypeECN(PrototypeConfig(width=12, n_layers=2)).double()


@pytest.fixture
def batch():
    """Perovskites whose three X atoms all differ, so that an operation is seen by what it moves."""
    batch = perovskite_batch(n=N)
    elements = batch.atomic_numbers.clone().unflatten(0, (N, 5))
    elements[:, 2:] = torch.tensor([7, 8, 9])
    return batch._replace(atomic_numbers=elements.flatten())


@pytest.mark.parametrize("k", range(0, 48, 5))
def test_operations_of_the_space_group_change_nothing(model, batch, k):
    """Atoms and edges moved by W, about B and off the origin: other sites for every X."""
    operation = torch.from_numpy(point_group("cP")[k]).double()
    shift = torch.from_numpy(np.random.default_rng(k).normal(size=(N, 3)))
    moved = batch._replace(
        frac_coords=batch.frac_coords @ operation.T + shift[batch.crystal],
        edge_image=(batch.edge_image.double() @ operation.T).round().to(torch.int8),
    )
    torch.testing.assert_close(model(moved), model(batch), rtol=0, atol=1e-10)


def test_what_sits_on_which_site_is_seen(model, batch):
    elements = batch.atomic_numbers.unflatten(0, (N, 5))
    exchanged = batch._replace(atomic_numbers=elements[:, [1, 0, 2, 3, 4]].flatten())
    assert (model(exchanged) - model(batch)).abs().min() > 1e-6


def test_equivalent_sites_are_not(model, batch):
    elements = batch.atomic_numbers.unflatten(0, (N, 5))
    cycled = batch._replace(atomic_numbers=elements[:, [0, 1, 3, 4, 2]].flatten())
    torch.testing.assert_close(model(cycled), model(batch), rtol=0, atol=1e-10)


def test_every_atom_gets_its_own_site_and_cell(model, batch):
    shift = torch.tensor([[0.3, 0.7, -0.4], [0.0, 0.0, 0.0], [5.0, -2.0, 0.5]], dtype=torch.float64)
    noise = 0.02 * torch.randn(5 * N, 3, dtype=torch.float64)
    moved = batch._replace(frac_coords=batch.frac_coords + shift[batch.crystal] + noise)
    site, cell = model.assign(moved)
    assert site.unflatten(0, (N, 5)).sort(1).values.tolist() == [[0, 1, 2, 3, 4]] * N
    assert site.unflatten(0, (N, 5))[:, :2].tolist() == [[0, 1]] * N
    sites = torch.from_numpy(PROTOTYPES["perovskite"].frac_coords)
    residual = (moved.frac_coords - sites[site] - cell).unflatten(0, (N, 5))
    assert (residual - residual.mean(1, keepdim=True)).abs().max() < 0.1


def test_distorted_crystals_keep_their_sites(model, batch):
    """A quarter of the cell along one axis, as some relaxed perovskites have it."""
    moved = batch.frac_coords.clone().unflatten(0, (N, 5))
    moved[:, 0, 2] += 0.2
    moved[:, 4, 2] -= 0.2
    site, _ = model.assign(batch._replace(frac_coords=moved.flatten(0, 1)))
    assert site.unflatten(0, (N, 5))[:, :2].tolist() == [[0, 1]] * N


def test_other_numbers_of_atoms_are_refused(model):
    with pytest.raises(UserError, match="a crystal without the 5 atoms of the prototype perovskite"):
        model(random_batch())
