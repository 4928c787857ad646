"""Splits that are put into a release beside its own."""

import shutil

import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

import mpclean
from mpclean import UserError
from mpclean.cli import main
from mpclean.schema import SPLITS
from mpclean.splits import STRATEGIES
from mpclean.splits.add import add_split


@pytest.fixture
def release(demo_release, tmp_path):
    """A release that a test may split."""
    shutil.copytree(demo_release.path, tmp_path / "demo")
    return mpclean.open_release(tmp_path / "demo")


def ids(release, split, strategy):
    return release.table(split, columns=["material_id"], strategy=strategy)["material_id"].to_pylist()


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_several_live_side_by_side(release):
    before = contents(release.path)
    for strategy in ("formula", "chemical-system", "k-fold"):
        add_split(release.path, strategy, workers=1)
    opened = mpclean.open_release(release.path)
    assert opened.verify() == []
    assert opened.content_hash == release.content_hash
    assert set(opened.manifest["more_splits"]) == {
        "formula", "chemical-system", *(f"k-fold-{k}" for k in range(1, 6))
    }  # fmt: skip
    assert opened.manifest["splits"] == release.manifest["splits"]
    after = contents(release.path)
    changed = {path.name for path in before if after[path] != before[path]}
    assert changed == {"manifest.json", "croissant.json", "README.md"}


def test_what_it_came_from_is_recorded(release):
    counts = add_split(release.path, "formula", "mine", seed=3, fractions=(0.5, 0.3, 0.2), workers=1)
    (name, entry), *others = mpclean.open_release(release.path).manifest["more_splits"].items()
    assert (name, others) == ("mine", [])
    assert len(entry.pop("content_hash")) == 64
    sizes = {split: part.pop("num_bytes") for split, part in entry["rows"].items()}
    assert sum(sizes.values()) == pytest.approx(release.table().nbytes, rel=0.02)
    files = {split: part.pop("files") for split, part in entry["rows"].items()}
    assert files == {split: [f"splits/mine/{split}-00000-of-00001.parquet"] for split in SPLITS}
    assert entry == {
        "made_as": "mine",
        "strategy": "formula",
        "parameters": {"seed": 3, "fractions": [0.5, 0.3, 0.2]},
        "keeps_apart": ["formula", "key", "structure"],
        "splits": counts["mine"],
        "rows": {split: {"num_examples": counts["mine"][split]} for split in SPLITS},
    }
    n = release.table().num_rows
    assert {name: count / n for name, count in counts["mine"].items()} == pytest.approx(
        {"train": 0.5, "validation": 0.3, "test": 0.2}, abs=0.01
    )


def test_rows_of_a_split(release):
    counts = add_split(release.path, "formula", workers=1)["formula"]
    opened = mpclean.open_release(release.path)
    table = opened.assigned("formula")
    for split in SPLITS:
        rows = opened.table(split, strategy="formula")
        expected = table.filter(pc.equal(table["split"], split))["material_id"].to_pylist()
        assert sorted(rows["material_id"].to_pylist()) == sorted(expected)
        assert rows.num_rows == counts[split]
        assert rows.schema == opened.table(split).schema
    formulas = [set(opened.table(s, ["reduced_formula"], strategy="formula")[0].to_pylist()) for s in SPLITS]
    assert not formulas[0] & formulas[1] | formulas[0] & formulas[2] | formulas[1] & formulas[2]
    assert sorted(ids(opened, None, "formula")) == sorted(ids(opened, None, None))


def test_own_split_by_its_name(release):
    for split in SPLITS:
        assert ids(release, split, "random") == ids(release, split, None)


def test_equal_input_gives_equal_bytes(release, tmp_path):
    shutil.copytree(release.path, tmp_path / "again")
    for folder in (release.path, tmp_path / "again"):
        add_split(folder, "chemical-system", workers=1)
    assert [*contents(release.path).values()] == [*contents(tmp_path / "again").values()]


def test_learning_curve_keeps_what_its_split_keeps(release):
    add_split(release.path, "formula", workers=1)
    add_split(release.path, "learning-curve", of="formula", workers=1)
    add_split(release.path, "learning-curve", "plain", workers=1)
    opened = mpclean.open_release(release.path)
    more = opened.manifest["more_splits"]
    assert more["learning-curve-0.25"]["keeps_apart"] == ["formula", "key", "structure"]
    assert more["plain-0.25"]["keeps_apart"] == []
    assert more["plain-0.25"]["parameters"] == {"seed": 0, "of": "random"}
    assert set(ids(opened, "train", "learning-curve-0.25")) < set(ids(opened, "train", "formula"))
    assert ids(opened, "test", "plain-0.25") == ids(opened, "test", None)


def test_prototypes_stay_together(release):
    add_split(release.path, "prototype", fractions=(0.6, 0.2, 0.2), workers=1)
    opened = mpclean.open_release(release.path)
    assert opened.manifest["more_splits"]["prototype"]["keeps_apart"] == ["prototype"]
    assert opened.verify() == []


@pytest.mark.parametrize(
    ("strategy", "options", "says"),
    [
        ("clever", {}, "--strategy clever: no such strategy; known are random, formula"),
        ("k-fold", {"element": "Fe"}, "--strategy k-fold takes no --element; it takes --seed, --folds"),
        ("formula", {"fractions": (0.8, 0.1, 0.2)}, "--fractions 0.8 0.1 0.2: three shares above 0 of sum 1"),
        ("formula", {"fractions": (1.0, 0.0, 0.0)}, "three shares above 0"),
        ("formula", {"fractions": (1.1, -0.2, 0.1)}, "three shares above 0"),
        ("random", {}, "was built with the split 'random'; give another --name"),
        ("random", {"name": "random", "force": True}, "was built with the split 'random'"),
        ("formula", {"name": "../formula"}, "--name ../formula: letters, digits"),
        ("formula", {"name": ""}, "letters, digits"),
        ("learning-curve", {"of": "nothing"}, "no split 'nothing'; it has random, and mpclean split adds"),
    ],
)
def test_mistakes_change_nothing(release, strategy, options, says):
    before = contents(release.path.parent)
    with pytest.raises(UserError, match=says.replace(".", r"\.")) as caught:
        add_split(release.path, strategy, workers=1, **options)
    assert "\n" not in str(caught.value)
    assert contents(release.path.parent) == before


def test_a_name_is_taken_once(release):
    add_split(release.path, "formula", "mine", workers=1)
    before = contents(release.path)
    with pytest.raises(UserError, match="has a split 'mine' already; give another --name, or replace"):
        add_split(release.path, "formula", "mine", seed=1, workers=1)
    assert contents(release.path) == before
    add_split(release.path, "formula", "mine", seed=1, workers=1, force=True)
    assert contents(release.path) != before
    assert mpclean.open_release(release.path).verify() == []


def test_no_release(tmp_path):
    with pytest.raises(UserError, match="no such release"):
        add_split(tmp_path / "deep" / "nothing", "formula")
    assert list(tmp_path.iterdir()) == []


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_command(release):
    fractions = ("--fractions", 0.5, 0.25, 0.25)
    done = run("split", release.path, "--strategy", "formula", "--name", "mine", "--seed", 7, *fractions)
    assert done.exit_code == 0
    counts = mpclean.open_release(release.path).manifest["more_splits"]["mine"]["splits"]
    assert done.stdout.splitlines()[-1].split() == ["mine", *(str(counts[split]) for split in SPLITS)]
    assert run("verify", release.path).exit_code == 0
    again = run("split", release.path, "--strategy", "formula", "--name", "mine")
    assert (again.exit_code, again.stdout, again.stderr.count("\n")) == (2, "", 1)


def test_help_names_every_strategy():
    text = " ".join(run("split", "--help").stdout.split()).replace("- ", "-")
    assert [name for name in STRATEGIES if name not in text] == []
