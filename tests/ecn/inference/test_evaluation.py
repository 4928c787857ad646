"""An evaluation tells which crystals are wrong, and of which kind."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import ecn
from ecn.cli import main
from ecn.inference.evaluation import COMPARED, CRYSTAL_SYSTEMS, write_compared
from ecn.inference.figures import learning_curves, parity_figure
from ecn.inference.tables import evaluation_table
from ecn.training.logs import read_metrics


@pytest.fixture(scope="module")
def evaluation(run):
    return ecn.evaluate(run)[0]


def test_a_row_for_every_crystal(evaluation, rows):
    frame = evaluation.to_pandas()
    known = {r["material_id"]: r for r in rows["test"]}
    assert len(frame) == 18
    for row in frame.itertuples():
        record = known[row.material_id]
        assert row.formula == record["reduced_formula"]
        assert row.label == pytest.approx(record["formation_energy_per_atom"], rel=1e-6)
    assert set(frame.crystal_system) == {"cubic"}
    assert set(frame.nsites) == {2}
    np.testing.assert_allclose(frame.error, frame.prediction - frame.label)
    assert frame.standard_deviation.isna().all()


def test_the_metrics_are_those_of_the_rows(evaluation):
    frame = evaluation.to_pandas()
    assert evaluation.metrics["mae"] == pytest.approx(frame.error.abs().mean(), rel=1e-5)
    r2 = 1 - (frame.error**2).sum() / ((frame.label - frame.label.mean()) ** 2).sum()
    assert evaluation.metrics["r2"] == pytest.approx(r2, rel=1e-4)
    assert 0.0 < r2 <= 1.0


def test_the_worst_come_first(evaluation):
    errors = np.abs(evaluation.worst(4)["error"].to_numpy())
    assert list(errors) == sorted(np.abs(evaluation.to_pandas().error), reverse=True)[:4]


def test_errors_by_kind(evaluation):
    frame = evaluation.to_pandas()
    (cubic,) = evaluation.groups["crystal system"].to_pylist()
    assert cubic == {"group": "cubic", "n": 18, "mae": pytest.approx(frame.error.abs().mean())}
    assert [row["group"] for row in evaluation.groups["size"].to_pylist()] == ["1-4 atoms"]
    by_element = {row["group"]: row for row in evaluation.groups["element"].to_pylist()}
    with_sodium = frame[frame.formula.str.contains("Na")]
    assert by_element["Na"]["n"] == len(with_sodium)
    assert by_element["Na"]["mae"] == pytest.approx(with_sodium.error.abs().mean())
    assert len(CRYSTAL_SYSTEMS) == 7


def test_a_table_fits_80_columns_and_names_the_worst(evaluation):
    text = evaluation_table(evaluation)
    assert max(map(len, text.splitlines())) <= 80
    assert evaluation.worst(1)["material_id"][0].as_py() in text
    assert "R2 of the model" in text


def test_the_command_writes_the_rows(run, evaluation, tmp_path):
    path = tmp_path / "rows.parquet"
    done = CliRunner().invoke(main, ["evaluate", str(run), "--json", "--table", str(path)])
    assert done.exit_code == 0, done.output
    assert pq.read_table(path).equals(evaluation.compared)
    assert json.loads(done.stdout.splitlines()[-1])["r2"] == pytest.approx(evaluation.metrics["r2"])
    bad = CliRunner().invoke(main, ["evaluate", str(run), "--table", str(tmp_path / "rows.xls")])
    assert (bad.exit_code, "must end in .csv or .parquet" in bad.stderr) == (2, True)


def test_figures_are_drawn(run, evaluation, tmp_path, monkeypatch):
    from ecn.inference import figures

    parity_figure(evaluation, tmp_path / "points.png")
    monkeypatch.setattr(figures, "_DENSE", 2)
    parity_figure(evaluation, tmp_path / "density.png")
    learning_curves(read_metrics(run), "title", "MAE (eV/atom)", tmp_path / "curves.png")
    for name in ("points", "density", "curves"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_evaluations_and_models_say_what_they_are(run, evaluation):
    assert repr(evaluation).startswith("Evaluation(formation_energy, test part, 18 crystals: MAE ")
    assert "<table>" in ecn.evaluate(run)._repr_html_()
    model = ecn.load(run)
    assert repr(model).startswith("Predictor(formation_energy (eV/atom); ecn, epoch ")
    assert "54 crystals of tiny 1.0.0" in model._repr_html_()


def test_an_id_is_no_formula_of_a_spreadsheet(tmp_path):
    ids = ["=1+1", "@x", "mp-1", None]
    rows = [dict.fromkeys(COMPARED.names) | {"material_id": n} for n in ids]
    made = SimpleNamespace(compared=pa.Table.from_pylist(rows, COMPARED))
    write_compared([made], tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert [row["material_id"] for row in csv.DictReader(file)] == ["'=1+1", "'@x", "mp-1", ""]
