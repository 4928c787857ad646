"""What every model of the registry must do."""

import csv
import json

import pytest
import torch
from click.testing import CliRunner

from ecn import checkpoint
from ecn.cli import main
from ecn.errors import UserError
from ecn.models import MODELS, build
from ecn.testing import random_batch

SIZES = (3, 1, 4)


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    return build(request.param, {"width": 16, "n_layers": 2}).double().eval()


def test_one_number_for_every_crystal(model):
    output = model(random_batch())
    assert output.shape == (3,)
    assert output.unique().numel() == 3


def test_a_batch_is_its_crystals_one_by_one(model):
    batch = random_batch(0, SIZES)
    alone = []
    for k in range(len(SIZES)):
        atoms = batch.crystal == k
        first = int(atoms.nonzero()[0])
        bonds = atoms[batch.edge_source]
        alone.append(
            model(
                batch._replace(
                    atomic_numbers=batch.atomic_numbers[atoms],
                    crystal=torch.zeros(int(atoms.sum()), dtype=torch.int64),
                    edge_source=batch.edge_source[bonds] - first,
                    edge_target=batch.edge_target[bonds] - first,
                    edge_image=batch.edge_image[bonds],
                    edge_length=batch.edge_length[bonds],
                    n_crystals=1,
                )
            )
        )
    torch.testing.assert_close(torch.cat(alone), model(batch), rtol=0, atol=1e-10)


def test_the_order_of_atoms_and_bonds_does_not_matter(model):
    batch = random_batch()
    new_place = torch.tensor([2, 0, 1, 3, 7, 6, 4, 5])  # within the crystals
    old_place = torch.argsort(new_place)
    bonds = torch.randperm(len(batch.edge_source))
    moved = batch._replace(
        atomic_numbers=batch.atomic_numbers[old_place],
        edge_source=new_place[batch.edge_source[bonds]],
        edge_target=new_place[batch.edge_target[bonds]],
        edge_image=batch.edge_image[bonds],
        edge_length=batch.edge_length[bonds],
    )
    torch.testing.assert_close(model(moved), model(batch), rtol=0, atol=1e-10)


def test_every_weight_has_a_gradient(model):
    model(random_batch(sizes=(4, 4))).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


def test_single_precision_is_close_to_double(model):
    batch = random_batch()
    single = model.float()(batch._replace(edge_length=batch.edge_length.float()))
    torch.testing.assert_close(single.double(), model.double()(batch), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_command_fits_it_and_reads_it_back(name, release, tmp_path):
    run = str(tmp_path / "run")
    small = ["--set", "width=16", "--set", "n_layers=2", "--preset", "fast", "--batch-size", "8"]
    fit = ["fit", str(release), "--model", name, *small, "--epochs", "10", "--device", "cpu", "--out", run]
    CliRunner().invoke(main, fit, catch_exceptions=False)
    with (tmp_path / "run" / checkpoint.METRICS).open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.5 * losses[0]
    result = CliRunner().invoke(main, ["evaluate", run, "--json"], catch_exceptions=False)
    metrics = json.loads(result.stdout.splitlines()[-1])
    assert metrics["mae"] < 0.9 * metrics["mae_mean_predictor"]


def test_an_unknown_model_is_named():
    with pytest.raises(UserError, match="unknown model 'resnet'; known: ecn"):
        build("resnet", {})


def test_an_unknown_option_is_named():
    with pytest.raises(UserError, match="model 'ecn' has no option depth"):
        build("ecn", {"depth": 3})


def test_an_unknown_group_is_named():
    with pytest.raises(UserError, match="unknown group 'S9'"):
        build("ecn", {"group": "S9"})
