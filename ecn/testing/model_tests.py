"""The tests that every model must pass; needs pytest.

A package with a model of its own inherits them::

    from ecn.testing.model_tests import ModelTests

    class TestMyNet(ModelTests):
        @pytest.fixture
        def model_class(self):
            return MyNet

        @pytest.fixture
        def config(self):
            return MyNet.Config(width=16, n_layers=2)
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
import torch
from scipy.spatial.transform import Rotation

from ecn.data.batch import CrystalBatch
from ecn.models.base import CrystalModel
from ecn.models.ecn import ECN
from ecn.testing.assertions import assert_batching_invariant, assert_quotient_equal
from ecn.testing.batches import random_batch

#: Largest deviation from rounding, by precision.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-4}


class ModelTests:
    """Invariance, batching, the quotient, gradients, restoration and precision of one model.

    A subclass gives the fixtures `model_class` and `config`, and `batch` where the model does not
    take any crystal. Each test runs in double and in single precision.
    """

    @pytest.fixture
    def model_class(self) -> type[CrystalModel]:
        """Return the class of the model."""
        raise NotImplementedError("give a fixture model_class that returns the class of the model")

    @pytest.fixture
    def config(self, model_class: type[CrystalModel]) -> Any:
        """Return its options: small ones, for tests take seconds."""
        raise NotImplementedError("give a fixture config that returns an instance of the model's Config")

    @pytest.fixture(params=TOLERANCE, ids=["float64", "float32"])
    def dtype(self, request: pytest.FixtureRequest) -> torch.dtype:
        """Return the precision of weights and crystals."""
        return request.param

    @pytest.fixture
    def batch(self, dtype: torch.dtype) -> CrystalBatch:
        """Return a few crystals that the model takes and that differ."""
        return random_batch(dtype=dtype)

    @pytest.fixture
    def model(self, model_class: type[CrystalModel], config: Any, dtype: torch.dtype) -> CrystalModel:
        """Return the model with random weights, in evaluation mode."""
        torch.manual_seed(0)
        return model_class(config).to(dtype).eval()

    def test_one_number_for_every_crystal(
        self, model: CrystalModel, batch: CrystalBatch, dtype: torch.dtype
    ) -> None:
        """Its output is one number a crystal, in its precision, and crystals that differ are told apart."""
        output = model(batch)
        assert output.shape == (batch.n_crystals,)
        assert output.dtype == dtype
        assert output.unique().numel() == batch.n_crystals

    def test_a_batch_is_its_crystals_one_by_one(
        self, model: CrystalModel, batch: CrystalBatch, dtype: torch.dtype
    ) -> None:
        """The output of a crystal does not depend on those beside it."""
        assert_batching_invariant(model, batch, TOLERANCE[dtype])

    def test_the_order_of_atoms_and_bonds_does_not_matter(
        self, model: CrystalModel, batch: CrystalBatch, dtype: torch.dtype
    ) -> None:
        """A permutation of atoms within crystals, and of all bonds, changes nothing."""
        # All atoms backwards, sorted by crystal again: another order within every crystal.
        backwards = torch.arange(batch.n_atoms).flip(0)
        old_place = backwards[torch.argsort(batch.crystal[backwards], stable=True)]
        new_place = torch.argsort(old_place)
        assert not torch.equal(old_place, torch.arange(batch.n_atoms))
        shuffled = batch.with_bonds(torch.randperm(len(batch.edge_source)))
        moved = shuffled._replace(
            atomic_numbers=batch.atomic_numbers[old_place],
            frac_coords=batch.frac_coords[old_place],
            edge_source=new_place[shuffled.edge_source],
            edge_target=new_place[shuffled.edge_target],
        )
        torch.testing.assert_close(model(moved), model(batch), rtol=0, atol=TOLERANCE[dtype])

    def test_origin_and_orientation_do_not_matter(
        self, model: CrystalModel, batch: CrystalBatch, dtype: torch.dtype
    ) -> None:
        """A crystal that is shifted, rotated and mirrored keeps its output (invariance under E(3))."""
        shift = torch.rand(batch.n_crystals, 3, dtype=dtype)[batch.crystal]
        turn = -torch.from_numpy(Rotation.random(random_state=0).as_matrix()).to(dtype)
        moved = batch._replace(frac_coords=batch.frac_coords + shift, lattice=batch.lattice @ turn)
        torch.testing.assert_close(model(moved), model(batch), rtol=0, atol=TOLERANCE[dtype])

    def test_supercell_and_quotient_agree(
        self, model: CrystalModel, batch: CrystalBatch, dtype: torch.dtype
    ) -> None:
        """A network that does not tell the cells apart says the same on the supercell and on one cell."""
        if not isinstance(model, ECN) or model.config.symmetry_breaking:
            pytest.skip("not a network that has both")
        assert_quotient_equal(model, batch, TOLERANCE[dtype])

    def test_every_weight_has_a_gradient(self, model: CrystalModel, batch: CrystalBatch) -> None:
        """No weight is without effect."""
        model(batch).sum().backward()
        for name, weight in model.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.abs().max() > 0, name

    def test_state_restoration(
        self, model_class: type[CrystalModel], model: CrystalModel, batch: CrystalBatch, dtype: torch.dtype
    ) -> None:
        """Options as JSON and a state dict make the model again, to the last bit."""
        options = json.loads(json.dumps(asdict(model.config)))
        torch.manual_seed(1)
        again = model_class(model_class.Config(**options)).to(dtype).eval()
        again.load_state_dict(model.state_dict())
        assert torch.equal(again(batch), model(batch))

    def test_single_precision_is_close_to_double(
        self, model_class: type[CrystalModel], config: Any, batch: CrystalBatch
    ) -> None:
        """Rounding is not amplified."""
        torch.manual_seed(0)
        model = model_class(config).eval()
        single = model(batch.to(dtype=torch.float32))
        double = model.double()(batch.to(dtype=torch.float64))
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)
