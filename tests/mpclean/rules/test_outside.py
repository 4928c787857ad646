"""A rule and a split strategy of a package outside the tree, by the recipe of docs/adding.md, literally."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import mpclean
from mpclean import rules, splits
from mpclean.cli import main
from mpclean.errors import UserError
from mpclean.pipeline.single import judge
from mpclean.rules.choice import remade
from mpclean.vocabulary import registry

pytestmark = pytest.mark.slow  # the demo is built

RECIPE = (Path(mpclean.__file__).parents[1] / "docs" / "adding.md").read_text()


def snippets(language):
    return re.findall(rf"```{language}\n(.*?)```", RECIPE, re.DOTALL)


def commands():
    """Commands of the recipe that do what this file is about."""
    lines = [line for text in snippets("bash") for line in text.splitlines()]
    return [shlex.split(line)[1:] for line in lines if re.match("mpclean (build --version|split) ", line)]


def _forget():
    registry._brought.cache_clear()


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """Every file of the recipe, as it lies in site-packages once the package is installed."""
    folder = tmp_path_factory.mktemp("site-packages")
    (folder / "outside").mkdir()
    (folder / "outside" / "__init__.py").touch()
    for text in snippets("python"):
        if found := re.match(r"# (outside/\w+\.py)\n", text):
            (folder / found[1]).write_text(text)
    points = [
        text.replace("[project.entry-points.", "[").replace('["', "[").replace('"]', "]").replace('"', "")
        for text in snippets("toml")
        if "entry-points" in text
    ]
    info = folder / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "\n".join(points) + "\n[mpclean.rules]\nbroken = outside.nowhere:Rule\n"
    )
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    _forget()
    yield folder
    sys.path.remove(str(folder))
    _forget()


@pytest.fixture(scope="module")
def built(outside, tmp_path_factory):
    """The folder in which the commands of the recipe were run, one after another."""
    folder = tmp_path_factory.mktemp("recipe")
    (plan,) = (text for text in snippets("toml") if text.startswith("# plan.toml"))
    (folder / "plan.toml").write_text(plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in commands():
            result = CliRunner().invoke(
                main, [*command, *(["--workers", "1"] if command[0] == "build" else [])]
            )
            assert result.exit_code == 0, result.output
    return folder


def test_the_recipe_names_what_it_needs(outside):
    assert {"rules.py", "splits.py"} <= {path.name for path in (outside / "outside").glob("*.py")}
    assert {command[0] for command in commands()} == {"build", "split"}
    assert "minimum-energy" in rules.REGISTRY.names()
    assert "every-nth" in splits.REGISTRY.names()


def test_the_rule_excludes_and_is_recorded(built):
    release = mpclean.open_release(built / "releases" / "stable")
    parameters = release.manifest.parameters
    assert parameters.rules == ["record", "duplicate", "minimum-energy"]
    assert parameters.rule_parameters["minimum-energy"] == {"min_energy": -2.5}
    ledger = release.ledger().to_pylist()
    details = [row["detail"] for row in ledger if row["rule"] == "minimum-energy"]
    assert details
    assert all(float(detail) < -2.5 for detail in details)
    energies = release.table()["formation_energy_per_atom"].drop_null().to_pylist()
    assert min(energies) >= -2.5


def test_the_same_rule_judges_a_crystal_by_itself(built):
    release = mpclean.open_release(built / "releases" / "stable")
    parameters = release.manifest.parameters
    found = remade(parameters.rules, parameters.rule_parameters)
    rows = release.table()
    assert judge(rows, found)["rule"].null_count == len(rows)
    strict = remade(parameters.rules, {"minimum-energy": {"min_energy": 99.0}})
    said = judge(rows, strict)["rule"].drop_null().unique().to_pylist()
    assert said == ["minimum-energy"]


def test_the_strategy_splits(built):
    release = mpclean.open_release(built / "releases" / "stable")
    assigned = release.assigned("every-nth").sort_by("material_id")["split"].to_pylist()
    assert assigned[:3] == ["test", "validation", "train"]
    assert assigned[::10] == ["test"] * len(assigned[::10])
    assert release.verify() == []


def test_what_does_not_serve_is_said(outside):
    with pytest.raises(UserError, match=r"rule 'broken': outside\.nowhere:Rule cannot be imported"):
        rules.REGISTRY.find("broken")
    with pytest.raises(UserError, match="unknown rule 'minimum-enrgy'; did you mean 'minimum-energy'"):
        rules.REGISTRY.find("minimum-enrgy")
    with pytest.raises(UserError, match="unknown strategy 'every-th'; did you mean 'every-nth'"):
        splits.REGISTRY.find("every-th")
