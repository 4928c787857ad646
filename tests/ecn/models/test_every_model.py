"""What every model of the registry must do."""

import csv
import json

import pytest
from click.testing import CliRunner

from ecn.cli import main
from ecn.models import MODELS, build, resolve
from ecn.models.prototype import PrototypeECN
from ecn.runs import checkpoint
from ecn.testing import perovskite_batch, random_batch
from ecn.testing.model_tests import ModelTests
from ecn.training.presets import PRESETS
from mpclean.errors import UserError


class TestEveryModel(ModelTests):
    @pytest.fixture(params=MODELS)
    def model_class(self, request):
        return resolve(request.param)

    @pytest.fixture
    def config(self, model_class):
        return model_class.Config(width=16, n_layers=2)

    @pytest.fixture
    def batch(self, model_class, dtype):
        if model_class is PrototypeECN:
            return perovskite_batch(dtype=dtype)
        return random_batch(dtype=dtype)


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
    with pytest.raises(UserError, match="unknown model 'transformer'; known: ecn"):
        build("transformer", {})
    with pytest.raises(UserError, match="unknown model 'shnet'; did you mean 'schnet'"):
        resolve("shnet")


def test_an_unknown_option_is_named():
    with pytest.raises(UserError, match="model 'ecn': unknown option 'depth'"):
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
