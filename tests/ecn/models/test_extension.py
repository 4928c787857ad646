"""A model in a package outside the tree: by its path, by an entry point, and with the shared tests."""

import importlib
import json
import sys

import pytest
import torch
from click.testing import CliRunner

from ecn.cli import main
from ecn.models import resolve
from ecn.testing import assert_batching_invariant, random_batch
from ecn.testing.model_tests import ModelTests
from mpclean.errors import UserError
from mpclean.vocabulary import registry

#: All that a package with a model has to hold.
NET = '''
from dataclasses import dataclass

import torch
from torch import nn

from ecn.models.base import CrystalModel


@dataclass(frozen=True)
class Config:
    width: int = 8
    """Channels."""
    n_outputs: int = 1
    """Numbers for every crystal."""


class Neighbours(CrystalModel):
    """Elements of atoms and of their neighbours, summed."""

    Config = Config

    def __init__(self, config):
        super().__init__(config)
        self.element = nn.Embedding(104, config.width)
        self.output = nn.Linear(2 * config.width, config.n_outputs)

    def forward(self, batch):
        x = self.element(batch.atomic_numbers)
        near = torch.zeros_like(x).index_add(
            0, batch.edge_target, x[batch.edge_source] / batch.edge_length[:, None].to(x.dtype)
        )
        total = x.new_zeros(batch.n_crystals, 2 * x.shape[1])
        total = total.index_add(0, batch.crystal, torch.cat([x, near], 1))
        return self.output(total).squeeze(-1)


NOT_A_MODEL = nn.Linear
'''


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """An installed package, as its files lie in site-packages."""
    folder = tmp_path_factory.mktemp("site-packages")
    (folder / "outside").mkdir()
    (folder / "outside" / "__init__.py").touch()
    (folder / "outside" / "net.py").write_text(NET)
    info = folder / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ecn.models]\nneighbours = outside.net:Neighbours\n")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    registry._brought.cache_clear()
    yield
    sys.path.remove(str(folder))
    registry._brought.cache_clear()


@pytest.mark.usefixtures("outside")
class TestOutside(ModelTests):
    @pytest.fixture
    def model_class(self):
        return resolve("outside.net:Neighbours")

    @pytest.fixture
    def config(self, model_class):
        return model_class.Config(width=4)


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("name", ["neighbours", "outside.net:Neighbours"])
def test_the_command_fits_it_and_reads_it_back(name, release, tmp_path):
    run = str(tmp_path / "run")
    fit = ["fit", str(release), "--model", name, "--set", "width=4", "--preset", "fast", "--epochs", "2"]
    CliRunner().invoke(main, [*fit, "--device", "cpu", "--out", run], catch_exceptions=False)
    result = CliRunner().invoke(main, ["evaluate", run, "--json"], catch_exceptions=False)
    assert json.loads(result.stdout.splitlines()[-1])["mae"] > 0


@pytest.mark.usefixtures("outside")
def test_the_entry_point_is_listed_with_its_options():
    assert "neighbours: Elements of atoms and of their neighbours, summed.\n  width = 8" in (
        CliRunner().invoke(main, ["models"], catch_exceptions=False).output
    )


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("outside.net:Nobody", "outside.net:Nobody cannot be imported"),
        ("nowhere:Net", "nowhere:Net cannot be imported"),
        ("outside.net:NOT_A_MODEL", "is no class derived from"),
        ("outside.net:torch", "is no class derived from"),
        ("neighbors", "did you mean 'neighbours'"),
    ],
)
def test_what_is_no_model_is_named(name, message):
    with pytest.raises(UserError, match=message):
        resolve(name)


def test_shared_tests_without_a_model_say_what_is_missing():
    with pytest.raises(NotImplementedError, match="fixture model_class"):
        ModelTests.model_class.__wrapped__(ModelTests())


def test_a_model_that_mixes_crystals_fails_the_shared_tests():
    """The mixin can fail: a model that looks at the whole batch is caught."""

    with pytest.raises(AssertionError):
        assert_batching_invariant(
            lambda batch: torch.full((batch.n_crystals,), float(batch.n_atoms)), random_batch()
        )
