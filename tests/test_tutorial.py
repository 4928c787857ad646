"""The tutorial notebook runs from an empty folder, and what it shows is what is so."""

import ast
import json
import math
import re
import runpy
from pathlib import Path

import nbformat
import pytest

import mpclean

TOOL = runpy.run_path(str(Path(__file__).with_name("tutorial.py")))
NOTEBOOK = nbformat.read(TOOL["NOTEBOOK"], 4)


def texts_of(notebook):
    """By the heading above, the text that cells printed and returned."""
    texts = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"^## (\w+)", cell.source, re.MULTILINE)):
            heading = found[1]
        for output in cell.get("outputs", ()):
            text = output.get("text") or output["data"]["text/plain"]
            texts[heading] = texts.get(heading, "") + text + "\n"
    return texts


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The folder that it ran in, and by the heading above the text that its cells printed and returned."""
    folder = tmp_path_factory.mktemp("tutorial")
    return folder, texts_of(TOOL["executed"](folder, tmp_path_factory.mktemp("ipython")))


def test_it_is_committed_with_its_outputs():
    nbformat.validate(NOTEBOOK)
    assert TOOL["NOTEBOOK"].stat().st_size < 150_000
    said = json.dumps([cell.get("outputs", []) for cell in NOTEBOOK.cells])
    assert "image/png" in said
    assert not re.search(r"/(home|tmp|root|work|Users)/", said)
    for cell in NOTEBOOK.cells:
        if cell.cell_type == "code":
            assert cell.execution_count is not None
            assert "error" not in {output.output_type for output in cell.outputs}
            assert cell.outputs == [TOOL["tidy"](output) for output in cell.outputs]


@pytest.mark.slow
def test_the_outputs_are_those_committed(shown):
    """Of a training the numbers hang on the processor: they are compared within a third."""
    _, texts = shown
    committed = texts_of(NOTEBOOK)
    assert list(texts) == list(committed)
    for heading in ("Build", "Look", "Audit"):
        assert texts[heading] == committed[heading], heading
    for pattern in (r"^done: .* (\S+)$", r"^MAE of the model +(\S+)", r"^MAE of the mean predictor +(\S+)"):
        now, then = (float(re.search(pattern, some["Fit"], re.MULTILINE)[1]) for some in (texts, committed))
        assert now == pytest.approx(then, rel=1 / 3), pattern


@pytest.mark.slow
def test_build_and_look(shown):
    folder, texts = shown
    release = mpclean.open_release(folder / "releases" / "demo")
    assert release.verify() == []
    assert f"[] {release.content_hash[:16]}" in texts["Build"]
    for stage in release.manifest.stages:
        assert re.search(rf"^{stage.title} +{stage.kept:,}\b", texts["Build"], re.MULTILINE)
    ledger = release.ledger()
    counts = [
        int(n)
        for n in re.findall(
            r"^(?!records|valid|of these).+? {2,}(\d+)$", texts["Build"].split("reason")[1], re.MULTILINE
        )
    ]
    assert sum(counts) == ledger.num_rows > 0
    n_train = release.manifest.splits["train"]
    assert re.search(rf"^count +{n_train}\.0", texts["Look"], re.MULTILINE)
    assert re.search(r"^[1-9]\d* directed bonds from \d\.\d+ to \d\.\d+ A$", texts["Look"], re.MULTILINE)


@pytest.mark.slow
def test_audit(shown):
    folder, texts = shown
    release = mpclean.open_release(folder / "releases" / "demo")
    counts = release.manifest.more_splits["formula"].splits
    printed = [ast.literal_eval(line) for line in texts["Audit"].splitlines() if line.startswith("{")]
    assert printed == [{"formula": counts}, counts]
    leaks = re.findall(
        r"^ *(random|formula) +(validation|test) +\d+ +(\d+) +(True|False)$", texts["Audit"], re.MULTILINE
    )
    leaking = {(split, part): int(number) for split, part, number, _ in leaks}
    assert leaking["formula", "test"] == leaking["formula", "validation"] == 0
    assert leaking["random", "test"] > 0
    assert {promised for split, *_, promised in leaks if split == "formula"} == {"True"}
    assert "promises broken: 0" in texts["Audit"]


@pytest.mark.slow
def test_fit_and_predict(shown):
    folder, texts = shown
    assert re.search(r"^done: best epoch \d+, validation MAE \(eV/atom\) \d\.\d+", texts["Fit"], re.MULTILINE)
    model, mean = (
        float(re.search(rf"MAE of the {who} +([\d.]+)", texts["Fit"])[1])
        for who in ("model", "mean predictor")
    )
    assert 0 < model < 0.9 * mean
    found = re.search(r"formula='(\w+)'.* value=(-?[\d.]+), unit='eV/atom'", texts["Predict"], re.DOTALL)
    structure = next(mpclean.open_release(folder / "releases" / "demo").structures("train"))
    assert found[1] == structure.reduced_formula
    assert math.isfinite(float(found[2]))
    assert "trained on synthetic labels" in texts["Predict"]
    assert sorted(path.name for path in folder.iterdir()) == ["releases", "runs"]
