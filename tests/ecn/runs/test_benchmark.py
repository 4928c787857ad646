"""The grid: what is finished is not done again, what was stopped goes on, tables are those of the runs."""

import json
from statistics import fmean, stdev

import pytest
from click.testing import CliRunner

from ecn.cli import main
from ecn.models import MODELS
from ecn.runs import checkpoint, published
from ecn.runs.benchmark import page as page_of
from ecn.runs.benchmark import spread, tables
from ecn.targets.tasks import TASKS, task
from ecn.training.state import STATE

pytestmark = pytest.mark.slow  # a grid of trainings

SETTINGS = ("--preset", "fast", "--epochs", "2", "--device", "cpu", "--set", "batch_size=16")


def call(release, out, *arguments):
    words = ["benchmark", str(release), "--out", str(out), *SETTINGS, *arguments]
    return CliRunner().invoke(main, words, catch_exceptions=False)


@pytest.fixture(scope="module")
def out(release, tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks") / "tiny"
    result = call(
        release, folder, "--models", "ecn,cgcnn", "--targets", "formation_energy,is_metal", "--seeds", "0,1"
    )
    assert result.exit_code == 0, result.output
    (folder / "printed.txt").write_text(result.stdout)
    return folder


def test_every_run_has_its_errors_and_figures(out):
    runs = sorted(path.parent for path in out.rglob("model.safetensors"))
    assert len(runs) == 8
    for run in runs:
        names = {path.name for path in run.iterdir()}
        assert {"curves.png", "evaluation.json", f"parity-{run.parents[1].name}.png"} <= names


def test_tables_have_the_mean_and_deviation_of_the_runs_beside_what_was_published(out):
    results = json.loads((out / "results.json").read_text())
    page = (out / "RESULTS.md").read_text()
    maes = [
        record["measured"][0]["mae"]
        for record in results["runs"]
        if (record["model"], record["target"]) == ("cgcnn", "formation_energy")
    ]
    row = next(line for line in page.splitlines() if line.startswith("| cgcnn "))
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "cgcnn",
        "0, 1",
        "2",
        f"{fmean(maes):.4f} +- {stdev(maes):.4f}",
        "0.048",
    ]
    assert "| MAE (eV/atom) " in page
    assert "| F1 of nonmetal " in page
    assert "| area under the ROC curve " in page
    assert "| majority class " in page
    assert page == page_of(results)
    assert "recall of metal" in page
    assert "published recall, printed as precision" in page
    assert "metal 0.812, nonmetal 0.863" in page or "nonmetal 0.863, metal 0.812" in page
    assert row in (out / "printed.txt").read_text()
    assert results["n_wanted"] == len(results["runs"]) == 8


def test_what_is_finished_is_not_done_again_and_a_grid_grows(out, release):
    weights = {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")}
    result = call(release, out, "--models", "ecn,cgcnn", "--targets", "formation_energy", "--seeds", "0,1,2")
    assert result.exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    assert len(list(out.rglob("model.safetensors"))) == 10
    assert "| ecn " in result.stdout


def test_an_option_is_for_its_model_alone(release, tmp_path):
    words = ("--models", "ecn,cgcnn", "--seeds", "0", "--epochs", "1", "--set", "ecn.n_layers=1")
    assert call(release, tmp_path / "grid", *words).exit_code == 0
    runs = tmp_path / "grid" / "runs" / "formation_energy"
    assert checkpoint.load_config(runs / "ecn/seed-0").model_options["n_layers"] == 1
    assert checkpoint.load_config(runs / "ecn/seed-0").model_options["width"] == 64  # as the preset has it
    assert checkpoint.load_config(runs / "cgcnn/seed-0").model_options["n_layers"] == 3


def test_one_model_for_several_targets_is_in_the_table_of_each(release, tmp_path):
    words = ("--models", "cgcnn", "--seeds", "0", "--targets", "formation_energy+is_metal,band_gap")
    result = call(release, tmp_path / "grid", *words)
    assert result.exit_code == 0
    together, alone = _records(tmp_path / "grid")
    assert [m["target"] for m in together["measured"]] == ["formation_energy", "is_metal"]
    assert [m["target"] for m in alone["measured"]] == ["band_gap"]
    assert {line for line in result.stdout.splitlines() if line.startswith("## ")} == {
        f"## {m['target']}, test part, {m['n']} {'crystals' if 'per_class' in m else 'labels'}"
        for m in (*together["measured"], *alone["measured"])
    }
    run = tmp_path / "grid" / together["run"]
    assert {path.name for path in run.glob("parity-*.png")} == {
        "parity-formation_energy.png",
        "parity-is_metal.png",
    }


def test_a_killed_run_goes_on(release, tmp_path, monkeypatch):
    words = ("--models", "cgcnn", "--seeds", "0")
    whole = call(release, tmp_path / "whole", *words)
    kept = checkpoint.load(tmp_path / "whole/runs/formation_energy/cgcnn/seed-0").digest

    from ecn.training import run as training

    saved = training.write_metrics
    calls = []

    def dies(*arguments):
        calls.append(saved(*arguments))
        if len(calls) == 2:  # the first epoch is over
            raise RuntimeError("killed")

    monkeypatch.setattr(training, "write_metrics", dies)
    with pytest.raises(RuntimeError, match="killed"):
        call(release, tmp_path / "stopped", *words)
    monkeypatch.undo()
    run = tmp_path / "stopped/runs/formation_energy/cgcnn/seed-0"
    assert (run / STATE).exists()
    again = call(release, tmp_path / "stopped", *words)
    assert again.exit_code == 0
    assert checkpoint.load(run).digest == kept
    assert tables(_records(tmp_path / "stopped")) == tables(_records(tmp_path / "whole"))
    assert whole.exit_code == 0


def _records(out):
    return json.loads((out / "results.json").read_text())["runs"]


def test_a_run_that_fails_leaves_the_others_alone(release, tmp_path):
    words = ("--models", "cgcnn,ecn:S9", "--seeds", "0")
    result = call(release, tmp_path / "grid", *words)
    assert result.exit_code == 2
    assert "| cgcnn " in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "ecn:S9, formation_energy, seed 0: " in line
    assert "unknown group 'S9'" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "loss=huber"), "holds a grid with other settings (training)"),
        (("--set", "ecn.width=16"), "holds a grid with other settings (options)"),
        (("--set", "ecn.wide=16"), "model 'ecn': unknown option 'wide'"),
        (("--set", "resnet.width=16"), "unknown model 'resnet'"),
        (("--set", "width=16"), "to set an option of a model, write MODEL.width=VALUE"),
        (("--models", "resnet"), "unknown model 'resnet'"),
        (("--targets", "colour"), "unknown target 'colour'"),
        (("--seeds", "one"), "--seeds one: expected whole numbers"),
    ],
)
def test_a_mistake_is_one_line(out, release, arguments, message):
    result = call(release, out, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_one_seed_is_said_to_be_one():
    assert spread([0.25], [0.125]) == "0.2500 +- 0.1250 (one seed)"
    assert spread([0.5], [None], digits=2) == "0.50 (one seed)"
    assert spread([1.0, 3.0], [0.1, 0.1]) == "2.0000 +- 1.4142"
    assert tables([]) == ""


def test_published_numbers_are_of_models_and_targets_that_there_are():
    assert task("heat_all").unit == "eV per cell"
    assert published.MAE.keys() <= {*TASKS, "heat_all"}
    models = {model for row in published.MAE.values() for model in row} | published.RECALL.keys()
    assert {model.partition(":")[0] for model in models} <= MODELS.keys()
