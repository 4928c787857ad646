"""The command as a user meets it."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ecn.cli import main
from ecn.models import MODELS
from ecn.runs import checkpoint
from ecn.training.presets import PRESETS
from mpclean.crystal.crystal import Crystal


def call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def structure(tmp_path):
    lattice = 2.3 * np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    crystal = Crystal(lattice, np.array([17, 11], np.uint8), np.array([[0.0] * 3, [0.5] * 3]))
    path = tmp_path / "nacl.cif"
    crystal.to_pymatgen().to(filename=str(path))
    return path


def test_help_answers_within_a_second():
    program = """
import sys
from ecn.cli import main
from ecn.models import MODELS
from ecn.training.presets import PRESETS
main(["--help"], standalone_mode=False)
sys.exit("torch" in sys.modules)
"""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - began)
        assert done.returncode == 0, done.stderr
    assert "fit" in done.stdout
    assert min(times) < 1.0


def test_fit_and_evaluate_import_neither_pymatgen_nor_a_symmetry_finder(release, tmp_path):
    program = f"""
import sys
from ecn.cli import main
from ecn.models import MODELS
from ecn.training.presets import PRESETS
fit = "fit {release} --preset fast --epochs 1 --device cpu --out {tmp_path}/run"
main(fit.split(), standalone_mode=False)
main("evaluate {tmp_path}/run --json".split(), standalone_mode=False)
print(sorted(m for m in sys.modules if m in ("pymatgen", "pymatgen.core", "spglib", "moyopy", "ase")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_whole_way(release, structure, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted = call("fit", release, "--preset", "fast", "--epochs", 20, "--batch-size", 8)
    assert fitted.exit_code == 0, fitted.output
    run = fitted.stdout.splitlines()[-1]
    assert run == "runs/tiny-formation_energy-1"
    assert list(Path(run, "tensorboard").glob("events.*"))

    evaluated = json.loads(call("evaluate", run, "--json").stdout.splitlines()[-1])
    assert evaluated["target"] == "formation_energy"
    assert evaluated["unit"] == "eV/atom"
    assert evaluated["split"] == "test"
    assert evaluated["n"] == 18
    assert evaluated["mae"] < 0.5 * evaluated["mae_mean_predictor"]
    assert evaluated["release_hash"] == "0" * 64
    assert evaluated["synthetic"] is False
    assert evaluated["checkpoint_hash"] == checkpoint.load(tmp_path / run).digest

    predicted = call("predict", run, structure, structure)
    (first, second) = csv.DictReader(io.StringIO(predicted.stdout))
    assert first == second
    assert (first["formula"], first["unit"], first["warning"]) == ("NaCl", "eV/atom", "")
    as_json = json.loads(call("predict", run, structure, "--format", "json").stdout)
    assert as_json[0]["value"] == float(first["value"])


def test_the_mean_predictor_says_the_mean_of_the_training_labels(run, rows):
    train = [
        r["formation_energy_per_atom"] for r in rows["train"] if r["formation_energy_per_atom"] is not None
    ]
    test = [
        r["formation_energy_per_atom"] for r in rows["test"] if r["formation_energy_per_atom"] is not None
    ]
    found = json.loads(call("evaluate", run, "--json").stdout.splitlines()[-1])
    assert found["mae_mean_predictor"] == pytest.approx(
        np.abs(np.array(test) - np.mean(train)).mean(), rel=1e-5
    )


def test_the_table_and_the_figure(run):
    output = call("evaluate", run, "--part", "validation").stdout
    assert re.search(r"MAE of the model +\d\.\d{4} eV/atom", output)
    assert re.search(r"MAE of the mean predictor +\d\.\d{4} eV/atom", output)
    assert re.search(r"ratio +\d+\.\d", output)
    figure = run / "parity-validation.png"
    assert output.splitlines()[-1] == f"figure: {figure}"
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_classifier_reports_both_classes(release, tmp_path):
    fitted = call("fit", release, "--preset", "fast", "--target", "is_metal", "--out", tmp_path / "run")
    assert fitted.exit_code == 0, fitted.output
    found = json.loads(call("evaluate", tmp_path / "run", "--json").stdout.splitlines()[-1])
    assert {"accuracy", "precision", "recall", "f1", "auc"} <= set(found)
    assert set(found["per_class"]) == {"metal", "nonmetal"}
    assert found["auc"] > 0.9
    assert re.search(r"metal +\d\.\d{3}", call("evaluate", tmp_path / "run").stdout)


def test_synthetic_labels_are_said_to_be(make_release, rows, structure, tmp_path):
    folder = make_release(synthetic=True, **rows)
    call("fit", folder, "--preset", "fast", "--epochs", 1, "--out", tmp_path / "run")
    assert call("evaluate", tmp_path / "run").stdout.splitlines()[0].endswith("18 crystals, synthetic labels")
    assert (
        json.loads(call("evaluate", tmp_path / "run", "--json").stdout.splitlines()[-1])["synthetic"] is True
    )
    assert "trained on synthetic labels" in call("predict", tmp_path / "run", structure).stdout


def test_another_release_is_said_to_be_another(run, make_release, rows):
    folder = make_release(**rows)
    manifest = (folder / "manifest.json").read_text()
    from mpclean.release.manifest import seal_values

    (folder / "manifest.json").write_bytes(seal_values(json.loads(manifest) | {"content_hash": "1" * 64}))
    result = call("evaluate", run, "--release", folder, "--json")
    assert "is not the release that the run was trained on" in result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["release_hash"] == "1" * 64


def test_a_release_with_other_bonds_is_not_evaluated(run, make_release, rows):
    from mpclean.release.manifest import seal_values

    folder = make_release(**rows)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["parameters"] |= {"bonds": "radius", "cutoff": 5.0}
    (folder / "manifest.json").write_bytes(seal_values(manifest))
    result = call("evaluate", run, "--release", folder)
    assert result.exit_code == 2
    assert (
        "built with other bond settings (bonds radius, min_area 0.0001, cutoff 5.0) than the model"
        in result.stderr
    )


def test_a_release_without_the_target_is_not_evaluated(run, make_release, rows):
    for row in rows["test"]:
        row["formation_energy_per_atom"] = None
    result = call("evaluate", run, "--release", make_release(**rows))
    assert result.exit_code == 2
    assert "formation_energy_per_atom is null in every row" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "{tmp}/nothing"], "no such release"),
        (["fit", "{tmp}"], "not a release"),
        (["fit", "{release}", "--target", "colour"], "unknown target 'colour'"),
        (["fit", "{release}", "--target", "heat_all"], "no column 'heat_all'"),
        (["fit", "{release}", "--target", "fermi_energy"], "efermi is null in every row"),
        (["fit", "{release}", "--limit", "1"], "1 training rows"),
        (["fit", "{release}", "--group", "S9"], "model 'ecn': unknown group 'S9'; known: S8n, lattice, S8"),
        (["fit", "{release}", "--model", "cgcnn", "--group", "S8"], "model 'cgcnn': unknown option 'group'"),
        (["fit", "{release}", "--set", "pooling=max"], "pooling = 'max' is not one of mean, sum"),
        (["fit", "{release}", "--set", "width=wide"], "width = 'wide' is not of type int"),
        (["fit", "{release}", "--set", "per_site=true"], "per_site follows from --target formation_energy"),
        (["patterns", "--lattice", "zz"], "unknown lattice 'zz'; known: S8, P1bar, aP"),
        (["patterns", "--lattice", "cF", "--side", "4"], "64 cells are too many to show; 3 is the largest"),
        (
            ["patterns", "--lattice", "cF", "--figure", "{tmp}/none/cF.png"],
            "cF.png: No such file or directory",
        ),
        (["fit", "{release}", "--set", "basis_width=0"], "the width of the distance basis is 0 A"),
        (["fit", "{release}", "--set", "hubbard=required", "--out", "{tmp}/r"], "is_hubbard is not known of"),
        (["patterns", "--lattice", "cF", "--figure", "{tmp}/cF.doc"], "cF.doc: Format 'doc'"),
        (["fit", "{release}", "--set", "width"], "not an assignment; write --set NAME=VALUE"),
        (["fit", "{release}", "--model", "resnet"], "unknown model 'resnet'; did you mean 'schnet'?"),
        (
            ["fit", "{release}", "--preset", "worst"],
            "unknown preset 'worst'; known: paper, reduced, best, fast",
        ),
        (["fit", "{release}", "--epochs", "0"], "0 is not in the range"),
        (
            ["fit", "{release}", "--device", "abacus", "--out", "{tmp}/run"],
            "--device abacus: unknown device; use --device cpu",
        ),
        (["fit", "{release}", "--out", "{run}"], "exists already"),
        (["fit"], "Missing argument 'RELEASE'"),
        (["fit", "--resume", "{tmp}"], "not a run of `ecn fit`"),
        (["fit", "--resume", "{run}"], "its training is over"),
        (["fit", "--resume", "{run}", "--seed", "1", "--epochs", "2"], "leave out --epochs, --seed"),
        (["fit", "{release}", "--set", "loss=l3"], "--set: loss = 'l3' is not one of mse, l1, huber"),
        (["fit", "{release}", "--set", "learning_rate=-1"], "learning_rate = -1 is not positive"),
        (["fit", "{release}", "--config", "{tmp}/none.yaml"], "none.yaml: cannot be read"),
        (["fit", "{release}", "--config", "a.yaml", "--preset", "fast"], "both settings to start from"),
        (["evaluate", "{tmp}"], "not a run of `ecn fit`"),
        (["evaluate", "{run}", "--release", "{tmp}"], "not a release"),
        (["evaluate", "{run}", "--device", "abacus"], "--device abacus: unknown device; use --device cpu"),
        (["predict", "{run}", "{tmp}/none.cif"], "none.cif: no such file"),
        (["predict", "{run}", "{run}/metrics.csv"], "metrics.csv: kind of file not read"),
        (["predict", "{run}"], "Missing argument"),
        (
            ["predict", "{run}", "{run}/metrics.csv", "--device", "abacus"],
            "--device abacus: unknown device; use --device cpu",
        ),
    ],
)
def test_a_mistake_is_one_line_and_a_failure(arguments, message, release, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filled = [a.format(tmp=tmp_path, release=release, run=run) for a in arguments]
    result = call(*filled)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    ours = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(ours) == 1
    assert not (tmp_path / "runs").exists()


def test_a_release_that_was_changed_is_not_trained_on(release, tmp_path):
    changed = shutil.copytree(release, tmp_path / "changed")
    shard = next((changed / "data").iterdir())
    shard.write_bytes(shard.read_bytes() + b" ")
    result = call("fit", changed, "--preset", "fast", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert f"1 files differ from the manifest (changed: data/{shard.name})" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_pattern_is_shown_and_drawn(tmp_path):
    figure = tmp_path / "cF.png"
    result = call("patterns", "--lattice", "cF", "--figure", figure)
    assert "3 colours, 192 permutations" in result.stdout
    assert "     1  001 010 011 100 101 110" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.count(" ") > 8]
    matrix = [row[1:] for row in rows if len(row) == 9]
    assert len(matrix) == 8
    assert all(matrix[k][k] == "0" and matrix[k][7 - k] == "2" for k in range(8))
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_patterns_of_the_plane_and_of_larger_sides():
    assert "hp, 2 x 2 cells: 2 colours, 24 permutations" in call("patterns", "--lattice", "hp").stdout
    assert (
        "aP, 3 x 3 x 3 cells: 14 colours, 54 permut"
        in call("patterns", "--lattice", "aP", "--side", 3).stdout
    )
    assert "27! permutations" in call("patterns", "--lattice", "S8", "--side", 3).stdout


def test_models_and_presets_are_listed():
    listed = call("models").stdout
    for name in MODELS:
        assert f"\n{name}: " in f"\n{listed}"
    assert "  elements = one_hot  (one of one_hot, group_period)" in listed
    listed = call("presets").stdout
    assert listed.split()[: 1 + len(PRESETS)] == ["setting", *PRESETS]
    for line in (*listed.splitlines(), *call("models").stdout.splitlines()):
        assert len(line) <= 80


def test_a_preset_is_a_file_and_back(release, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(call("presets", "fast").stdout.replace("epochs: 30", "epochs: 1"))
    run = call(
        "fit", release, "--config", path, "--set", "loss=l1", "--device", "cpu", "--out", tmp_path / "run"
    )
    assert run.exit_code == 0, run.output
    config = checkpoint.load(tmp_path / "run").config
    assert config.preset == "mine"
    assert (config.training["epochs"], config.training["loss"], config.model_options["width"]) == (
        1,
        "l1",
        64,
    )
