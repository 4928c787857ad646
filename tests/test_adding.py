"""`docs/adding.md`, followed literally: its files in a package outside the tree, its commands in order."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mpclean

ROOT = Path(__file__).parents[1]
RECIPE = (ROOT / "docs" / "adding.md").read_text("utf-8")

pytestmark = pytest.mark.slow  # builds and a training, by their commands


def snippets(language):
    return re.findall(rf"```{language}\n(.*?)```", RECIPE, re.DOTALL)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder in which the commands were run, with the package installed as in site-packages."""
    site, folder = tmp_path_factory.mktemp("site-packages"), tmp_path_factory.mktemp("recipe")
    (site / "outside").mkdir()
    (site / "outside" / "__init__.py").touch()
    for text in snippets("python"):
        (site / re.match(r"# (outside/\w+\.py)\n", text)[1]).write_text(text)
    points = ""
    for text in snippets("toml"):
        if text.startswith("# plan.toml"):
            (folder / "plan.toml").write_text(text)
            continue
        for group, entries in tomllib.loads(text)["project"]["entry-points"].items():
            points += f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
    info = site / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "OMP_NUM_THREADS": "1",
    }
    for block in snippets("bash"):
        done = subprocess.run(
            ["bash", "-ec", block], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return folder, site, environment


def test_there_is_a_recipe_for_each_kind(followed):
    _, site, _ = followed
    names = {path.stem for path in (site / "outside").glob("*.py")}
    assert names == {"__init__", "rules", "splits", "sources", "formats", "models", "test_models"}


def test_the_rule_and_the_strategy(followed):
    folder, *_ = followed
    release = mpclean.open_release(folder / "releases" / "stable")
    reasons = release.ledger()["rule"].to_pylist()
    assert "minimum-energy" in reasons
    assert min(release.table()["formation_energy_per_atom"].drop_null().to_pylist()) >= -2.5
    parts = release.assigned("every-nth")["split"].to_pylist()
    assert {*parts} == {"train", "validation", "test"}


def test_the_source_and_the_format(followed):
    folder, *_ = followed
    release = mpclean.open_release(folder / "releases" / "salts")
    assert release.verify() == []
    rows = [line.split() for line in (folder / "formulas.txt").read_text().splitlines()]
    assert len(rows) == 8
    volumes = {formula: float(volume) for _, formula, volume in rows}
    assert volumes["NaCl"] == pytest.approx(5.64**3 / 4, abs=1e-3)


def test_the_model(followed):
    folder, site, environment = followed
    assert (folder / "runs" / "neighbours" / "parity-test.png").is_file()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", site / "outside" / "test_models.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 5
