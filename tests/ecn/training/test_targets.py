"""Targets of every kind: several in one model, numbers of sites, columns of a source's own."""

import copy
import json
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from ecn.cli import main
from ecn.data.rows import open_release
from ecn.inference.evaluation import evaluate
from ecn.inference.inputs import predict_input
from ecn.inference.predict import Predictor
from ecn.models import MODELS
from ecn.runs import checkpoint
from mpclean.crystal.crystal import Crystal
from mpclean.errors import UserError
from mpclean.vocabulary.elements import SYMBOLS

SITES = {"target": "magnetic_moments"}


def test_several_targets_share_a_model(fit, release, tmp_path, history):
    names = ["formation_energy", "band_gap", "is_metal"]
    fit(release, tmp_path / "run", target=",".join(names), epochs=30, learning_rate=1e-2)
    lines = history(tmp_path / "run")
    assert list(lines[0])[-3:] == [f"validation_{name}" for name in names]
    found = evaluate(tmp_path / "run")
    assert [e.task.name for e in found] == names
    assert found[0].n_excluded == 2
    assert found[1].n_excluded == 20 - len(found[1].label) > 0  # no gap of a metal
    for evaluation in found[:2]:
        assert evaluation.metrics["mae"] < 0.5 * evaluation.metrics["mae_mean_predictor"]
    assert found[2].metrics["accuracy"] > 0.9
    alone = tmp_path / "alone"
    fit(release, alone, target="band_gap")
    assert evaluate(alone)[0].n_excluded == found[1].n_excluded


def test_several_targets_are_predicted_by_name(fit, release, tmp_path, rows):
    fit(release, tmp_path / "run", target="formation_energy,is_metal", epochs=1)
    found = Predictor(checkpoint.load(tmp_path / "run")).predict([Crystal.from_row(rows["test"][0])])
    assert [(p.target, p.unit) for p in found] == [
        ("formation_energy", "eV/atom"),
        ("is_metal", "probability of metal"),
    ]


def test_json_of_several_targets_is_one_line(fit, release, tmp_path):
    fit(release, tmp_path / "run", target="formation_energy,is_metal", epochs=1)
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path / "run"), "--json"], catch_exceptions=False)
    found = json.loads(result.stdout.splitlines()[-1])["targets"]
    assert [(f["target"], f["unit"]) for f in found] == [
        ("formation_energy", "eV/atom"),
        ("is_metal", "probability of metal"),
    ]
    assert all(len(f["release_hash"]) == 64 for f in found)


@pytest.fixture
def magnets(make_release, rows):
    """Moments that follow from the element, with the sign of a crystal drawn."""
    rng = np.random.default_rng(0)
    for k, row in enumerate(rows["train"] + rows["validation"] + rows["test"]):
        moments = [0.05 * int(row["atomic_numbers"][1]), -1.0]
        row["magnetic_moments"] = None if k % 7 == 3 else list(rng.choice([1.0, -1.0]) * np.array(moments))
    return make_release(**rows)


@pytest.mark.parametrize("symmetry_breaking", [False, True])
def test_moments_of_sites_are_learned_up_to_a_sign(fit, magnets, tmp_path, symmetry_breaking):
    options = {"symmetry_breaking": symmetry_breaking}
    fit(magnets, tmp_path / "run", options=options, epochs=25, learning_rate=1e-2, loss="l1", **SITES)
    (found,) = evaluate(tmp_path / "run")
    assert (found.task.unit, len(found.label)) == ("muB", 2 * (20 - found.n_excluded))
    assert found.n_excluded == 3
    assert found.metrics["mae"] < 0.5 * found.metrics["mae_mean_predictor"]
    assert found.metrics["mae"] < float((found.output - found.label).abs().mean())
    assert "sites" in found.title


def test_moments_are_predicted_for_every_site(fit, magnets, tmp_path, rows):
    runs = []
    for seed in range(2):
        fit(magnets, tmp_path / f"{seed}", epochs=2, seed=seed, learning_rate=1e-2, **SITES)
        runs.append(checkpoint.load(tmp_path / f"{seed}"))
    first, both = Predictor(runs[0]), Predictor(*runs)
    (of_release,) = first.predict_release(open_release(magnets), "test")
    expected = {row["material_id"]: [SYMBOLS[z] for z in row["atomic_numbers"]] for row in rows["test"]}
    found = {}
    for row in of_release.to_pylist():
        assert (row["target"], row["unit"], row["site"]) == (
            "magnetic_moments",
            "muB",
            len(found.setdefault(row["material_id"], [])),
        )
        found[row["material_id"]].append(row["element"])
    assert found == expected
    labelled = [k for k, row in enumerate(rows["test"]) if row["magnetic_moments"]]
    values = of_release["value"].to_numpy().reshape(-1, 2)[labelled].ravel()
    np.testing.assert_allclose(values, evaluate(runs[0].path)[0].output, atol=1e-5)
    (table,) = predict_input(first, magnets, "test", 1)
    assert table["index"].to_pylist() == [k // 2 for k in range(2 * len(rows["test"]))]
    # The sign of a member means nothing: one that says the opposite agrees.
    opposite = copy.deepcopy(runs[0])
    for parameter in (opposite.model.crystal_head[-1].weight, opposite.model.crystal_head[-1].bias):
        parameter.data.neg_()
    (row, _), spread = Predictor(runs[0], opposite).predict([Crystal.from_row(rows["test"][0])]), 1e-6
    assert abs(row.value) > spread > row.standard_deviation
    assert row.site == 0
    assert row.element in expected[rows["test"][0]["material_id"]]  # in the order of the canonical cell
    assert both.predict([Crystal.from_row(rows["test"][0])])[0].standard_deviation > spread


def test_a_crystal_without_a_graph_has_one_line_without_a_site(fit, magnets, tmp_path, rows):
    fit(magnets, tmp_path / "run", epochs=1, **SITES)
    unknown = Crystal.from_row(rows["test"][0])
    unknown.atomic_numbers[0] = 110
    found = Predictor(checkpoint.load(tmp_path / "run")).predict([unknown, Crystal.from_row(rows["test"][1])])
    assert [row.site for row in found] == [None, 0, 1]
    assert "no covalent radius is known for Ds" in found[0].warning


def test_a_target_that_one_row_has_is_named(fit, make_release, rows, tmp_path):
    for split in rows.values():
        for k, row in enumerate(split):
            row["efermi"] = 1.0 if k == 0 else None
    with pytest.raises(UserError, match="1 training rows with efermi, at least 2 are needed; choose"):
        fit(make_release(**rows), tmp_path / "run", target="formation_energy,fermi_energy")
    assert not (tmp_path / "run").exists()


def test_stability_is_evaluated(fit, make_release, rows, tmp_path):
    for split in rows.values():
        for row in split:
            row["e_above_hull"] = max(0.0, 0.3 * row["lattice"][1] - 0.85)
    run = tmp_path / "run"
    fit(make_release(**rows), run, target="e_above_hull", epochs=2)
    shown = CliRunner().invoke(main, ["evaluate", str(run)], catch_exceptions=False).stdout
    assert re.search(r"^stable +precision +recall +F1 +stable$", shown, re.MULTILINE)
    assert re.search(r"^<= 0 eV/atom +\d\.\d{3} ", shown, re.MULTILINE)
    assert re.search(r"^<= 0.05 eV/atom +\d\.\d{3} ", shown, re.MULTILINE)


def test_moments_that_are_no_numbers_are_named(fit, make_release, rows, tmp_path):
    for row in rows["train"] + rows["validation"]:
        row["magnetic_moments"] = [1.0, 2.0]
    rows["train"][4]["magnetic_moments"] = [1.0, float("nan")]
    with pytest.raises(UserError, match=r"magnetic_moments is no finite number \(1 rows, first test-4\)"):
        fit(make_release(**rows), tmp_path / "run", **SITES)


@pytest.mark.parametrize("model", sorted(set(MODELS) - {"ecn", "e3ecn"}))
def test_a_model_without_sites_is_named(fit, magnets, tmp_path, model):
    with pytest.raises(UserError, match=f"model '{model}' predicts crystals, not atoms"):
        fit(magnets, tmp_path / "run", model=model, **SITES)


def test_a_target_makes_the_outputs(fit, release, tmp_path):
    with pytest.raises(UserError, match="n_outputs follows from --target formation_energy"):
        fit(release, tmp_path / "run", options={"n_outputs": 2})


@pytest.fixture
def with_hardness(release, tmp_path, reseal):
    """A release with columns that only its source knows."""
    folder = shutil.copytree(release, tmp_path / "hard")
    for path in (folder / "data").iterdir():
        table = pq.read_table(path)
        hardness = [None if x is None else 2.0 * x for x in table["formation_energy_per_atom"].to_pylist()]
        table = table.append_column("hardness", [hardness])
        pq.write_table(table.append_column("colour", [["red"] * len(table)]), path)
    columns = json.loads((folder / "manifest.json").read_text())["columns"]
    label = {"name": "hardness", "unit": "GPa", "meaning": "Vickers hardness"}
    return reseal(folder, columns=[*columns, "hardness", "colour"], labels=[label])


def test_a_column_of_a_source_is_a_target(fit, with_hardness, tmp_path):
    fit(with_hardness, tmp_path / "run", target="hardness", epochs=20, learning_rate=1e-2)
    (found,) = evaluate(tmp_path / "run")
    assert (found.task.name, found.task.unit, found.n_excluded) == ("hardness", "GPa", 2)
    assert found.metrics["mae"] < found.metrics["mae_mean_predictor"]
    with pytest.raises(UserError, match=r"unknown target 'colour'; known: .*hardness"):
        fit(with_hardness, tmp_path / "other", target="colour")
    with pytest.raises(UserError, match="unknown target 'hardnes'; did you mean 'hardness'"):
        fit(with_hardness, tmp_path / "other", target="hardnes")


@pytest.mark.parametrize("model", sorted(set(MODELS) - {"prototype"}))  # whose crystals have one structure
def test_every_model_has_several_outputs_in_mixed_precision(fit, release, tmp_path, model):
    options = {"width": 8, "n_layers": 2}
    fit(
        release,
        tmp_path / "run",
        model=model,
        options=options,
        target="formation_energy,band_gap",
        epochs=1,
        precision="bf16-mixed",
    )
    found = evaluate(tmp_path / "run")
    assert all(torch.isfinite(e.output).all() for e in found)
