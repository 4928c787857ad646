"""What every model of the registry must do."""

import csv
import json

import pytest
import torch
from click.testing import CliRunner

from ecn.cli import main
from ecn.models import MODELS, build
from ecn.runs import checkpoint
from ecn.testing import assert_batching_invariant, example_batch
from ecn.training.presets import PRESETS
from mpclean.errors import UserError

#: Largest deviation from rounding, by precision.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-4}


@pytest.fixture(params=TOLERANCE, ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture(params=MODELS)
def model(request, dtype):
    torch.manual_seed(0)
    return build(request.param, {"width": 16, "n_layers": 2}).to(dtype).eval()


@pytest.fixture
def batch(model, dtype):
    return example_batch(model, dtype=dtype)


def test_one_number_for_every_crystal(model, batch, dtype):
    output = model(batch)
    assert output.shape == (3,)
    assert output.dtype == dtype
    assert output.unique().numel() == 3


def test_a_batch_is_its_crystals_one_by_one(model, batch, dtype):
    assert_batching_invariant(model, batch, TOLERANCE[dtype])


def test_the_order_of_atoms_and_bonds_does_not_matter(model, batch, dtype):
    # Shuffled atoms, sorted by crystal again: another order within every crystal.
    shuffled = torch.randperm(batch.n_atoms)
    old_place = shuffled[torch.argsort(batch.crystal[shuffled], stable=True)]
    new_place = torch.argsort(old_place)
    assert not torch.equal(old_place, torch.arange(batch.n_atoms))
    bonds = torch.randperm(len(batch.edge_source))
    moved = batch._replace(
        atomic_numbers=batch.atomic_numbers[old_place],
        frac_coords=batch.frac_coords[old_place],
        edge_source=new_place[batch.edge_source[bonds]],
        edge_target=new_place[batch.edge_target[bonds]],
        edge_image=batch.edge_image[bonds],
        edge_length=batch.edge_length[bonds],
    )
    torch.testing.assert_close(model(moved), model(batch), rtol=0, atol=TOLERANCE[dtype])


def test_another_origin_does_not_matter(model, batch, dtype):
    shift = torch.rand(batch.n_crystals, 3, dtype=dtype)[batch.crystal]
    moved = batch._replace(frac_coords=batch.frac_coords + shift)
    torch.testing.assert_close(model(moved), model(batch), rtol=0, atol=TOLERANCE[dtype])


def test_every_weight_has_a_gradient(model, batch):
    model(batch).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("name", MODELS)
def test_single_precision_is_close_to_double(name):
    torch.manual_seed(0)
    model = build(name, {"width": 16, "n_layers": 2}).eval()
    single = model(example_batch(model, dtype=torch.float32))
    double = model.double()(example_batch(model))
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "prototype"])  # these are rock salts
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


def test_a_count_below_one_is_named():
    with pytest.raises(UserError, match="model 'ecn': width = -1 is less than 1"):
        build("ecn", {"width": -1})


def test_the_options_of_presets_are_those_of_the_models():
    for preset in PRESETS.values():
        for name, options in preset.options.items():
            config = build(name, options).config
            assert {option: getattr(config, option) for option in options} == options


def test_an_unknown_group_is_named():
    with pytest.raises(UserError, match="unknown group 'S9'"):
        build("ecn", {"group": "S9"})
