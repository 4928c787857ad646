"""The tutorial notebook runs from an empty folder, and what it shows is what is so."""

import ast
import math
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import mpclean

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


def test_it_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The folder that it ran in, and by the heading above the text that its cells printed and returned."""
    folder = tmp_path_factory.mktemp("tutorial")
    notebook = nbformat.read(NOTEBOOK, 4)
    settings = {
        "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython")),
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            coalesce_streams=True,  # else what is printed may be cut anywhere
            resources={"metadata": {"path": str(folder)}},
        ).execute()
    texts = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"^## (\w+)", cell.source, re.MULTILINE)):
            heading = found[1]
        for output in cell.get("outputs", ()):
            text = output.get("text") or output["data"]["text/plain"]
            texts[heading] = texts.get(heading, "") + text + "\n"
    return folder, texts


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
