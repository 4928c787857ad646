"""An exported run stands by itself: measured, described, and to be made again by the command in its card."""

import csv
import io
import json
import shlex

import pytest
import yaml
from click.testing import CliRunner

import ecn
from ecn.cli import main
from ecn.inference.evaluation import evaluate
from ecn.runs import checkpoint
from ecn.runs.card import fit_command, shown
from ecn.runs.export import FILES, export
from ecn.runs.locate import locate
from mpclean.crystal.crystal import Crystal
from mpclean.errors import UserError


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "energies"
    export(run, folder, obtain="They are made by `tests/ecn/conftest.py`.")
    return folder


def test_an_exported_run_has_its_files_and_no_path_of_the_machine(exported, run):
    assert sorted(path.name for path in exported.iterdir()) == sorted(FILES)
    text = "".join((exported / name).read_text() for name in FILES if not name.endswith("safetensors"))
    assert str(run.parent) not in text
    assert "/tmp/" not in text
    assert checkpoint.load(exported).digest == checkpoint.load(run).digest


def test_the_card_has_the_numbers_of_the_run(exported, run):
    card = (exported / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    content = json.loads((exported / "evaluation.json").read_text())
    (measured,), (evaluation,) = content["targets"], evaluate(run)
    assert measured["mae"] == evaluation.metrics["mae"]
    assert f"{evaluation.metrics['mae']:.4g}" in card
    assert f"{evaluation.metrics['mae_uncertainty']:.2g}" in card
    assert head["model-index"][0]["results"][0]["metrics"][0]["value"] == measured["mae"]
    for part in ("eV/atom", measured["release_hash"], "54 crystals trained on", "CC0-1.0", "conftest.py"):
        assert part in card


def test_the_command_of_the_card_makes_the_same_settings(exported, release, tmp_path):
    config = checkpoint.load_config(exported)
    words = shlex.split(fit_command(config, str(tmp_path / "again")))
    assert words[2] == "releases/tiny"
    arguments = ["fit", str(release), *words[3:], "--set", "epochs=1", "--device", "cpu", "--logger", "none"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    again = checkpoint.load_config(tmp_path / "again")
    assert again.model_options == config.model_options
    assert again.training == config.training | {"epochs": 1}
    assert [target["task"] for target in again.targets] == [target["task"] for target in config.targets]
    assert (again.seed, again.limit) == (config.seed, config.limit)


def test_what_was_exported_can_be_exported_again_without_its_release(exported, tmp_path):
    export(exported, tmp_path / "copy")
    for name in FILES:
        assert (tmp_path / "copy" / name).read_bytes() == (exported / name).read_bytes()


def test_errors_of_other_weights_are_refused(exported, tmp_path):
    import shutil

    copy = shutil.copytree(exported, tmp_path / "copy")
    content = json.loads((copy / "evaluation.json").read_text())
    (copy / "evaluation.json").write_text(json.dumps(content | {"checkpoint_hash": "0"}))
    with pytest.raises(UserError, match="belongs to other weights"):
        export(copy, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_folder_that_is_there_is_not_overwritten(exported):
    with pytest.raises(UserError, match="exists already"):
        export(exported, exported)


def test_recall_is_called_recall(run):
    classes = {"recall": 0.25, "precision": 0.5, "f1": 0.33, "n": 8}
    summary = {
        "unit": "probability of metal",
        "accuracy": 0.5,
        "accuracy_majority_class": 0.5,
        "auc": 0.5,
        "per_class": {"nonmetal": classes, "metal": classes},
        "uncertainty": {
            "accuracy": 0.1,
            "auc": 0.1,
            "per_class": {
                name: {"recall": 0.02, "precision": 0.03, "f1": 0.04} for name in ("nonmetal", "metal")
            },
        },
    }
    rows = {name: (value, error) for name, value, error, _ in shown(summary)}
    assert (rows["recall of metal"], rows["precision of metal"]) == ((0.25, 0.02), (0.5, 0.03))


def test_a_name_is_a_folder_first_then_a_reference_then_a_model_on_the_hub(exported, tmp_path, monkeypatch):
    from ecn import reference

    monkeypatch.setattr(reference, "_HERE", exported.parent)
    monkeypatch.chdir(tmp_path)
    assert locate("energies") == exported
    (tmp_path / "energies").mkdir()
    assert str(locate("energies")) == "energies"
    with pytest.raises(UserError, match="no such folder; unknown reference model"):
        locate("nothing")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        locate("org/name")


def test_every_reference_model_loads_and_its_card_has_its_numbers():
    from ase.build import bulk

    from ecn.reference import references

    assert {"formation-energy", "band-gap", "perov5-heat"} <= references().keys()
    listed = CliRunner().invoke(main, ["references"], catch_exceptions=False).stdout
    for name, folder in references().items():
        assert f"\n{name} " in listed
        assert (folder / checkpoint.WEIGHTS).stat().st_size <= 5e6
        content = json.loads((folder / "evaluation.json").read_text())
        card = (folder / "README.md").read_text()
        assert content["checkpoint_hash"] == checkpoint.load(folder).digest
        assert not content["synthetic"]
        for _, value, error, unit in shown(content["targets"][0]):
            assert f"{value:.4g}" in card
            assert error is None or f"{error:.2g}" in card
            assert unit in card
        model = ecn.load(name)
        crystals = [bulk("NaCl", "rocksalt", a=5.64), bulk("MgO", "rocksalt", a=4.21)]
        found = model.predict([Crystal.from_ase(atoms) for atoms in crystals])
        assert all(abs(p.value) < 20 for p in found)
        assert {p.unit for p in found} == {content["targets"][0]["unit"]}


def test_a_reference_model_predicts_by_its_name(tmp_path, monkeypatch):
    from ase.build import bulk

    monkeypatch.chdir(tmp_path)
    bulk("NaCl", "rocksalt", a=5.64).write("salt.cif")
    called = CliRunner().invoke(main, ["predict", "formation-energy", "salt.cif"], catch_exceptions=False)
    (row,) = csv.DictReader(io.StringIO(called.stdout))
    # The Materials Project has -2.1 eV/atom; the model's mean error on such crystals is far below 1.
    assert (row["formula"], row["unit"], row["valid"]) == ("NaCl", "eV/atom", "True")
    assert -3.0 < float(row["value"]) < -1.0
    called = CliRunner().invoke(main, ["predict", "band-gap", "salt.cif"], catch_exceptions=False)
    assert "band_gap was learned from crystals where is_insulator is true" in called.stderr
    (row,) = csv.DictReader(io.StringIO(called.stdout))
    assert 2.0 < float(row["value"]) < 9.0
