"""What is saved is what comes back; what is damaged is said to be."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

import ecn
from ecn.runs import checkpoint
from ecn.testing import random_batch
from mpclean.errors import UserError


@pytest.fixture
def copied(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def test_weights_come_back_as_they_were(run, tmp_path):
    saved = checkpoint.load(run)
    again = tmp_path / "again"
    again.mkdir()
    checkpoint.save_config(again, saved.config)
    checkpoint.save_weights(again, saved.model, epoch=7, score=0.5)
    loaded = checkpoint.load(again)
    batch = random_batch(dtype=torch.float32)
    assert torch.equal(loaded.model(batch), saved.model(batch))
    assert loaded.config == saved.config
    assert loaded.epoch == 7
    assert loaded.digest == saved.digest


def test_a_run_says_what_it_was_made_of(run, release):
    config = json.loads((run / "config.json").read_text())
    (target,) = config["targets"]
    assert target["task"]["name"] == "formation_energy"
    assert target["shift"] == pytest.approx(target["train_mean"])
    assert config["training"]["epochs"] == 30
    assert config["training"]["batch_size"] == 8
    assert config["model_options"]["symmetry_breaking"] is False
    assert config["release"]["content_hash"] == "0" * 64
    assert config["release"]["synthetic"] is False
    assert config["featuriser"] == {
        "bonds": "voronoi",
        "min_area": 1e-4,
        "cutoff": 6.0,
        "rules": ["record", "duplicate", "size", "dimensionality", "graph"],
        "rule_parameters": None,
    }
    assert config["packages"]["torch"] == torch.__version__
    assert (config["n_train"], config["n_validation"]) == (54, 18)


def test_nothing_is_pickled(run):
    files = [path for path in run.rglob("*") if path.is_file() and path.suffix != ".png"]
    event_files = [path for path in files if path.parent.name == "tensorboard"]
    assert sorted(path.suffix for path in files if path not in event_files) == [
        ".csv",
        ".json",
        ".safetensors",
    ]


def _truncate(run):
    path = run / checkpoint.WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def _flip(run):
    path = run / checkpoint.WEIGHTS
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def _edit(**changes):
    def edit(run):
        path = run / checkpoint.CONFIG
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "model.safetensors: damaged"),
        (_flip, "its digest does not match"),
        (lambda run: (run / checkpoint.WEIGHTS).unlink(), "its training ended before the first epoch did"),
        (lambda run: (run / checkpoint.CONFIG).unlink(), "not a run of `ecn fit`"),
        (lambda run: (run / checkpoint.CONFIG).write_text("{"), "config.json: damaged"),
        (lambda run: (run / checkpoint.CONFIG).write_text("[]"), "config.json: damaged"),
        (_edit(format_version=99), "format version 99, but this ecn reads 3"),
        (_edit(surprise=1), r"entries \['surprise'\]"),
        (_edit(format_version="two"), "format version 'two' is no positive integer"),
        (_edit(format_version=0), "format version 0 is no positive integer"),
        (_edit(n_train="many"), "n_train = 'many' is not of type int"),
        (_edit(targets="energy"), "targets = 'energy' is not of type"),
        (_edit(release={}), "release lacks some of the entries content_hash, name"),
        (_edit(featuriser=None), "featuriser lacks some of the entries bonds"),
        (lambda run: (run / checkpoint.CONFIG).write_bytes(b"\x80\x04\x95"), "config.json: damaged"),
        (lambda run: (run / checkpoint.WEIGHTS).write_bytes(b"PK\x03\x04" * 99), "safetensors: damaged"),
        (_edit(model="resnet"), "unknown model 'resnet'"),
        (_edit(model_options={"width": 8}), "not weights of a 'ecn' model"),
        (_edit(targets=[{"task": {"colour": "red"}}]), "config.json: damaged, its targets cannot be read"),
    ],
)
def test_damage_is_named(copied, damage, message):
    from ecn import load

    damage(copied)
    with pytest.raises(UserError, match=message) as error:
        load(copied)
    assert "\n" not in str(error.value)


def _inside(part, **changes):
    def edit(run):
        content = json.loads((run / checkpoint.CONFIG).read_text())[part]
        _edit(**{part: content | changes})(run)

    return edit


def _without(name):
    def edit(run):
        content = json.loads((run / checkpoint.CONFIG).read_text())
        del content[name]
        (run / checkpoint.CONFIG).write_text(json.dumps(content))

    return edit


CRAFTED = {
    "bonds unknown": (_inside("featuriser", bonds="crystalnn"), "bonds = 'crystalnn' is not one of voronoi"),
    "bonds in capitals": (_inside("featuriser", bonds="Voronoi"), "bonds = 'Voronoi' is not one of voronoi"),
    "bonds null": (_inside("featuriser", bonds=None), "bonds = None is not one of voronoi"),
    "bonds a list": (_inside("featuriser", bonds=["voronoi"]), "is not one of voronoi, radius"),
    "area a word": (_inside("featuriser", min_area="small"), "min_area = 'small' is not of type float"),
    "area negative": (_inside("featuriser", min_area=-1.0), "min_area = -1.0 is not a length or an area"),
    "cutoff not a number": (_inside("featuriser", cutoff=float("nan")), "cutoff = nan is not a length"),
    "cutoff infinite": (_inside("featuriser", cutoff=float("inf")), "cutoff = inf is not a length"),
    "rules a word": (_inside("featuriser", rules="record"), "rules = 'record' is not of type list"),
    "rules of numbers": (_inside("featuriser", rules=[1, 2]), "rules = .1, 2. are not names"),
    "synthetic a word": (_inside("release", synthetic="no"), "synthetic = 'no' is not of type bool"),
    "path a number": (_inside("release", path=7), "path = 7 is not of type str"),
    "name null": (_inside("release", name=None), "name = None is not of type str"),
    "split a list": (_inside("release", split=["random"]), "is not of type str or null"),
    "version true": (_edit(format_version=True), "format version True is no positive integer"),
    "version a fraction": (_edit(format_version=2.5), "format version 2.5 is no positive integer"),
    "version negative": (_edit(format_version=-3), "format version -3 is no positive integer"),
    "version null": (_edit(format_version=None), "format version None is no positive integer"),
    "version missing": (_without("format_version"), "config.json: damaged"),
    "seed missing": (_without("seed"), "entries .'seed'. are missing"),
    "model missing": (_without("model"), "entries .'model'. are missing"),
    "seed negative": (_edit(seed=-1), "seed = -1 is less than 0"),
    "fold of three": (_edit(fold=[1, 2, 3]), "fold = .1, 2, 3. is not which of how many"),
    "fold beyond": (_edit(fold=[6, 5]), "fold = .6, 5. is not which of how many"),
    "width huge": (_inside("model_options", width=10**6), "model.safetensors: not weights of a 'ecn' model"),
    "width overflowing": (_inside("model_options", width=2**62), r"config.json: damaged, width = 4611686018"),
    "width negative": (_inside("model_options", width=-4), "width = -4 is less than 1"),
    "width a word": (_inside("model_options", width="wide"), "width = 'wide' is not of type int"),
    "layers without end": (_inside("model_options", n_layers=10**9), "n_layers = 1000000000, but"),
    "outputs huge": (_inside("model_options", n_outputs=10**9), "model.safetensors: not weights of"),
    "option unknown": (_inside("model_options", colour=1), "colour"),
    "weights of another model": (_edit(model="cgcnn", model_options={}), "not weights of a 'cgcnn' model"),
    "depth negative": (_inside("model_options", n_layers=-1), "n_layers = -1 is less than 1"),
    "depth a fraction": (_inside("model_options", n_layers=1.5), "n_layers = 1.5 is not of type int"),
    "width true": (_inside("model_options", width=True), "width = True is not of type int"),
    "model a number": (_edit(model=7), "model = 7 is not of type str"),
    "model of no package": (_edit(model="no_such_package.models:M"), "cannot be imported"),
    "model no model": (_edit(model="json:JSONDecoder"), "json:JSONDecoder"),
    "options a list": (_edit(model_options=[1]), "model_options = .1. is not of type dict"),
    "rows negative": (_edit(n_train=-1), "n_train = -1 is less than 1"),
    "packages a word": (_edit(packages="torch"), "packages = 'torch' is not of type dict"),
    "sizes of a model that computes as it is made": (
        _edit(model="schnet", model_options={"width": 10**9}),
        "damaged, width = 1000000000, but no side of the weights",
    ),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_runs_are_refused_in_one_line_before_anything_is_allocated(copied, name, monkeypatch):
    craft, message = CRAFTED[name]
    craft(copied)
    # No weight of the model gets memory: those of the file are not even read.
    monkeypatch.setattr("torch.nn.Module.load_state_dict", lambda *_: pytest.fail("weights were made"))
    with pytest.raises(UserError, match=message) as error:
        checkpoint.load(copied)
    assert "\n" not in str(error.value)
    assert str(copied) in str(error.value) or "model" in str(error.value)


def test_a_download_does_not_say_what_is_imported(copied, tmp_path, monkeypatch):
    from ecn.runs.hub import require_named_model

    require_named_model(copied, "org/run")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))
    _edit(model="evil:Model")(copied)
    with pytest.raises(UserError, match="org/run: its model is the code 'evil:Model', which is not imported"):
        require_named_model(copied, "org/run")
    assert not (tmp_path / "ran").exists()


def test_a_folder_of_something_else_is_no_run(tmp_path):
    with pytest.raises(UserError, match="not a run of `ecn fit`"):
        checkpoint.load(tmp_path)


FORMATS = sorted((Path(__file__).parents[1] / "checkpoints").glob("v*"))


def test_there_is_a_checkpoint_of_every_format():
    assert [folder.name for folder in FORMATS] == [f"v{n + 1}" for n in range(checkpoint.FORMAT_VERSION)]
    found = [json.loads((folder / checkpoint.CONFIG).read_text())["format_version"] for folder in FORMATS]
    assert found == [n + 1 for n in range(checkpoint.FORMAT_VERSION)]


@pytest.mark.parametrize("folder", FORMATS, ids=lambda folder: folder.name)
def test_a_checkpoint_of_every_format_says_what_it_said(folder):
    crystals = {
        "NaCl": bulk("NaCl", "rocksalt", a=5.692),
        "Si": bulk("Si", "diamond", a=5.43),
        "CsCl": bulk("CsCl", "cesiumchloride", a=4.12),
    }
    stored = json.loads((folder / "prediction.json").read_text())
    found = ecn.load(folder).predict(crystals.values())
    assert {p.formula: p.value for p in found} == pytest.approx(stored, abs=1e-5)
    assert {p.unit for p in found} == {"eV/atom"}


def test_what_an_earlier_format_did_not_say_is_what_was_fixed_then():
    config = checkpoint.load_config(FORMATS[0])
    (target,) = checkpoint.load(FORMATS[0]).goal.targets
    assert (target.task.name, target.task.unit) == ("formation_energy", "eV/atom")
    assert target.shift == pytest.approx(target.train_mean)
    assert config.format_version == checkpoint.FORMAT_VERSION
    assert config.git_revision is None
    assert (config.training["loss"], config.training["precision"]) == ("mse", "32-true")
    assert config.featuriser.rules == ["record", "duplicate", "size", "dimensionality", "graph"]


def test_the_revision_is_that_of_the_checkout(run):
    here = Path(checkpoint.__file__).parent
    found = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True)
    if found.returncode:
        pytest.skip("the code does not run from a checkout")
    revision = checkpoint.git_revision()
    assert revision.removesuffix("-dirty") == found.stdout.strip()
    assert json.loads((run / "config.json").read_text())["git_revision"] == revision


def test_code_that_is_no_file_of_a_checkout_has_no_revision(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(checkpoint, "__file__", str(tmp_path / "checkpoint.py"))
    assert checkpoint.git_revision() is None


def _read(folder):
    """Whether a folder is a run; anything but one clear line about it fails."""
    said = None
    try:
        checkpoint.load(folder)
    except UserError as error:
        said = str(error)
    assert said is None or ("\n" not in said and (str(folder) in said or "model" in said))
    return said is None


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_damage_of_the_weights_goes_unseen(tmp_path_factory, data):
    folder = shutil.copytree(FORMATS[-1], tmp_path_factory.mktemp("damaged") / "run")
    path = folder / checkpoint.WEIGHTS
    content = bytearray(path.read_bytes())
    begin = int.from_bytes(content[:8], "little") + 8  # after the header, which has words of its own
    if data.draw(st.booleans(), label="truncated"):
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    else:
        content[data.draw(st.integers(begin, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
    assert not _read(folder)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_byte_of_any_file_is_one_line_or_harmless(tmp_path_factory, data):
    folder = shutil.copytree(FORMATS[-1], tmp_path_factory.mktemp("damaged") / "run")
    path = folder / data.draw(st.sampled_from([checkpoint.CONFIG, checkpoint.WEIGHTS]))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, min(3000, len(content) - 1)))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    _read(folder)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_configuration_with_strange_or_missing_entries_is_one_line(tmp_path_factory, data):
    folder = shutil.copytree(FORMATS[0], tmp_path_factory.mktemp("foreign") / "run")
    path = folder / checkpoint.CONFIG
    content = json.loads(path.read_text())
    name = data.draw(st.sampled_from(sorted(content)))
    if data.draw(st.booleans(), label="missing"):
        del content[name]
        path.write_text(json.dumps(content))
        assert not _read(folder)
    else:
        path.write_text(json.dumps(content | {name: data.draw(_JSON)}))
        _read(folder)


@settings(max_examples=30, deadline=None)
@given(content=_JSON)
def test_json_of_another_program_is_no_run(tmp_path_factory, content):
    folder = shutil.copytree(FORMATS[0], tmp_path_factory.mktemp("foreign") / "run")
    (folder / checkpoint.CONFIG).write_text(json.dumps(content))
    assert not _read(folder)
