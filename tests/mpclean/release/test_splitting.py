"""Splits that are put into a release beside its own."""

import json
import shutil

import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

import mpclean
from mpclean import UserError
from mpclean.cli import main
from mpclean.inspection.audit import audit
from mpclean.splits import STRATEGIES
from mpclean.vocabulary.schema import PARTS


@pytest.fixture
def release(demo_release, tmp_path):
    """A release that a test may split."""
    shutil.copytree(demo_release.path, tmp_path / "demo")
    return mpclean.open_release(tmp_path / "demo")


def ids(release, split, strategy):
    return release.table(split, columns=["material_id"], split=strategy)["material_id"].to_pylist()


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_several_live_side_by_side(release):
    before = contents(release.path)
    for strategy in ("formula", "chemical-system", "k-fold"):
        mpclean.split(release.path, strategy, workers=1)
    opened = mpclean.open_release(release.path)
    assert opened.verify() == []
    assert opened.content_hash == release.content_hash
    assert set(opened.manifest.more_splits) == {
        "formula", "chemical-system", *(f"k-fold-{k}" for k in range(1, 6))
    }  # fmt: skip
    assert opened.manifest.splits == release.manifest.splits
    after = contents(release.path)
    changed = {path.name for path in before if after[path] != before[path]}
    assert changed == {"manifest.json", "croissant.json", "README.md"}


def test_what_it_came_from_is_recorded(release):
    counts = mpclean.split(release.path, "formula", "mine", seed=3, fractions=(0.5, 0.3, 0.2), workers=1)
    (name, entry), *others = mpclean.open_release(release.path).manifest.more_splits.items()
    assert (name, others) == ("mine", [])
    assert len(entry.content_hash) == 64
    sizes = {split: part.num_bytes for split, part in entry.rows.items()}
    assert sum(sizes.values()) == pytest.approx(release.table().nbytes, rel=0.02)
    files = {split: part.files for split, part in entry.rows.items()}
    assert files == {split: [f"splits/mine/{split}-00000-of-00001.parquet"] for split in PARTS}
    said = {"content_hash": True, "rows": {part: {"num_bytes", "files"} for part in PARTS}}
    assert entry.model_dump(exclude=said) == {
        "made_as": "mine",
        "strategy": "formula",
        "parameters": {"seed": 3, "fractions": [0.5, 0.3, 0.2]},
        "keeps_apart": ["formula", "key", "structure"],
        "splits": counts["mine"],
        "rows": {split: {"num_examples": counts["mine"][split]} for split in PARTS},
    }
    n = release.table().num_rows
    assert {name: count / n for name, count in counts["mine"].items()} == pytest.approx(
        {"train": 0.5, "validation": 0.3, "test": 0.2}, abs=0.01
    )


def test_rows_of_a_split(release):
    counts = mpclean.split(release.path, "formula", workers=1)["formula"]
    opened = mpclean.open_release(release.path)
    table = opened.assigned("formula")
    for split in PARTS:
        rows = opened.table(split, split="formula")
        expected = table.filter(pc.equal(table["split"], split))["material_id"].to_pylist()
        assert sorted(rows["material_id"].to_pylist()) == sorted(expected)
        assert rows.num_rows == counts[split]
        assert rows.schema == opened.table(split).schema
    formulas = [set(opened.table(s, ["reduced_formula"], split="formula")[0].to_pylist()) for s in PARTS]
    assert not formulas[0] & formulas[1] | formulas[0] & formulas[2] | formulas[1] & formulas[2]
    assert sorted(ids(opened, None, "formula")) == sorted(ids(opened, None, None))


def test_own_split_by_its_name(release):
    for split in PARTS:
        assert ids(release, split, "random") == ids(release, split, None)


def test_equal_input_gives_equal_bytes(release, tmp_path):
    shutil.copytree(release.path, tmp_path / "again")
    for folder in (release.path, tmp_path / "again"):
        mpclean.split(folder, "chemical-system", workers=1)
    assert [*contents(release.path).values()] == [*contents(tmp_path / "again").values()]


def test_learning_curve_keeps_what_its_split_keeps(release):
    mpclean.split(release.path, "formula", workers=1)
    mpclean.split(release.path, "learning-curve", of="formula", workers=1)
    mpclean.split(release.path, "learning-curve", "plain", workers=1)
    opened = mpclean.open_release(release.path)
    more = opened.manifest.more_splits
    assert more["learning-curve-0.25"].keeps_apart == ["formula", "key", "structure"]
    assert more["plain-0.25"].keeps_apart == []
    assert more["plain-0.25"].parameters == {"seed": 0, "of": "random"}
    assert set(ids(opened, "train", "learning-curve-0.25")) < set(ids(opened, "train", "formula"))
    assert ids(opened, "test", "plain-0.25") == ids(opened, "test", None)


def test_folds_of_a_level_promise_it(release):
    mpclean.split(release.path, "k-fold", "cv", folds=3, group="chemical-system", workers=1)
    more = mpclean.open_release(release.path).manifest.more_splits
    assert {name: entry.keeps_apart for name, entry in more.items()} == {
        f"cv-{k}": ["chemical-system", "formula", "key", "structure"] for k in (1, 2, 3)
    }
    found = audit(mpclean.open_release(release.path), workers=1)
    assert found.broken == []
    assert all(found.leakage[f"cv-{k}"]["chemical-system"]["test"]["leaking"] == 0 for k in (1, 2, 3))


def test_prototypes_stay_together(release):
    mpclean.split(release.path, "prototype", fractions=(0.6, 0.2, 0.2), workers=1)
    opened = mpclean.open_release(release.path)
    assert opened.manifest.more_splits["prototype"].keeps_apart == ["prototype"]
    assert opened.verify() == []


@pytest.mark.parametrize(
    ("strategy", "options", "says"),
    [
        ("clever", {}, "unknown strategy 'clever'; known: random, formula"),
        ("k-fold", {"element": "Fe"}, "--strategy k-fold takes no --element; it takes --seed, --folds"),
        ("k-fold", {"group": "size"}, "--group size: groups are by formula, prototype, chemical-system"),
        ("formula", {"fractions": (0.8, 0.1, 0.2)}, "--fractions 0.8 0.1 0.2: three shares above 0 of sum 1"),
        ("formula", {"fractions": (1.0, 0.0, 0.0)}, "three shares above 0"),
        ("formula", {"fractions": (1.1, -0.2, 0.1)}, "three shares above 0"),
        ("random", {}, "was built with the split 'random'; give another --name"),
        ("random", {"name": "random", "force": True}, "was built with the split 'random'"),
        ("formula", {"name": "../formula"}, "--name ../formula: letters, digits"),
        ("formula", {"name": ""}, "letters, digits"),
        ("formula", {"name": "efermi"}, "has a configuration 'efermi'; give another --name"),
        ("formula", {"name": "insulators", "force": True}, "has a configuration 'insulators'"),
        ("published", {}, "its version has no published lists; give some with --lists PATH"),
        ("published", {"lists": "no.csv"}, "no.csv: no such file or folder; a split is a table"),
        ("learning-curve", {"of": "nothing"}, "unknown split 'nothing'; known: random; mpclean split adds"),
    ],
)
def test_mistakes_change_nothing(release, strategy, options, says):
    before = contents(release.path.parent)
    with pytest.raises(UserError, match=says.replace(".", r"\.")) as caught:
        mpclean.split(release.path, strategy, workers=1, **options)
    assert "\n" not in str(caught.value)
    assert contents(release.path.parent) == before


@pytest.mark.parametrize(
    ("strategy", "options", "part"),
    [
        ("random", {"name": "mine"}, "validation"),
        ("formula", {}, "validation"),
        ("leave-element-out", {"element": "O"}, "validation"),
        ("learning-curve", {}, "train"),
        ("time", {}, "three parts by id"),
    ],
)
def test_parts_that_would_be_empty(rock_salt, write_lines, tmp_path, strategy, options, part):
    """Three records are too few for every strategy but k-fold, and no part is silently without any."""
    documents = [rock_salt(n, material_id=f"salt-{n}") for n in range(3)]
    lists = {"train": ["salt-0"], "validation": ["salt-1"], "test": ["salt-2"]}
    (tmp_path / "lists.json").write_text(json.dumps(lists))
    release = mpclean.build(
        source=write_lines(tmp_path / "docs.jsonl", documents),
        out=tmp_path / "r",
        split=tmp_path / "lists.json",
        workers=1,
    )
    before = contents(release.path)
    with pytest.raises(UserError, match=f"--strategy {strategy}: .*{part}") as caught:
        mpclean.split(release.path, strategy, workers=1, **options)
    assert "\n" not in str(caught.value)
    assert contents(release.path) == before
    mpclean.split(release.path, "k-fold", folds=3, workers=1)


def test_a_name_is_taken_once(release):
    mpclean.split(release.path, "formula", "mine", workers=1)
    before = contents(release.path)
    with pytest.raises(UserError, match="has a split 'mine' already; give another --name, or replace"):
        mpclean.split(release.path, "formula", "mine", seed=1, workers=1)
    assert contents(release.path) == before
    mpclean.split(release.path, "formula", "mine", seed=1, workers=1, force=True)
    assert contents(release.path) != before
    assert mpclean.open_release(release.path).verify() == []


def test_what_was_made_together_is_replaced_together(release):
    """Five folds by three, whose files and tables go; but not what another split is a part of."""
    before = contents(release.path)
    mpclean.split(release.path, "k-fold", "fold", folds=5)
    mpclean.split(release.path, "k-fold", "fold", folds=3, force=True)
    opened = mpclean.open_release(release.path)
    assert opened.splits == ["random", "fold-1", "fold-2", "fold-3"]
    assert opened.verify() == []
    new = {
        path.relative_to(release.path).as_posix() for path in contents(release.path).keys() - before.keys()
    }
    assert new == {
        *(f"splits/fold-{k}.parquet" for k in (1, 2, 3)),
        *(f"splits/fold/{cell}-00000-of-00001.parquet" for cell in (
            "test_train_validation", "train_validation_test", "validation_test_train"
        )),
    }  # fmt: skip
    with pytest.raises(UserError, match="has a split 'fold-2'; give another --name"):
        mpclean.split(release.path, "random", "fold-2", seed=1, force=True)
    mpclean.split(release.path, "learning-curve", "less", of="fold-1")
    with pytest.raises(UserError, match=r"'less-0\.125' is a part of 'fold'; give another --name"):
        mpclean.split(release.path, "k-fold", "fold", force=True)


def test_published_lists_that_are_given_later(release, tmp_path):
    """Records on none of them are left out of the split, and stay in the release."""
    ids = sorted(release.table(columns=["material_id"])["material_id"].to_pylist())
    lists = tmp_path / "lists.csv"
    lines = [f"{i},{('train', 'validation', 'test')[k % 3]}" for k, i in enumerate(ids[:30])]
    lists.write_text("\n".join(["material_id,split", *lines, "demo-no,train", ""]))
    counts = mpclean.split(release.path, "published", lists=lists)
    assert counts == {"published": {"train": 10, "validation": 10, "test": 10}}
    opened = mpclean.open_release(release.path)
    assert opened.manifest.more_splits["published"].parameters == {"lists": "given", "ids": 31}
    assert str(tmp_path) not in (release.path / "manifest.json").read_text()
    assert opened.table("test", ["material_id"], split="published")["material_id"].to_pylist()
    assert opened.table().num_rows == len(ids)
    lists.write_text("material_id,split\ndemo-no,train\n")
    with pytest.raises(
        UserError, match="no record is among the 1 ids of the lists; give others with --lists"
    ):
        mpclean.split(release.path, "published", "other", lists=lists)


def test_published_lists_of_the_version(published_salts, snapshot, tmp_path):
    release = mpclean.build(version="2021.05", source=snapshot, split="random", out=tmp_path / "r", workers=1)
    counts = mpclean.split(release.path, "published")
    assert counts == {"published": {"train": 14, "validation": 2, "test": 2}}
    entry = mpclean.open_release(release.path).manifest.more_splits["published"]
    assert entry.parameters["lists"].startswith("oumarkaba/equivariant_crystal_networks at 3ad0988")


def test_no_release(tmp_path):
    with pytest.raises(UserError, match="no such release"):
        mpclean.split(tmp_path / "deep" / "nothing", "formula")
    assert list(tmp_path.iterdir()) == []


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_command(release):
    fractions = ("--fractions", 0.5, 0.25, 0.25)
    done = run("split", release.path, "--strategy", "formula", "--name", "mine", "--seed", 7, *fractions)
    assert done.exit_code == 0
    counts = mpclean.open_release(release.path).manifest.more_splits["mine"].splits
    assert done.stdout.splitlines()[-1].split() == ["mine", *(str(counts[split]) for split in PARTS)]
    assert run("verify", release.path).exit_code == 0
    again = run("split", release.path, "--strategy", "formula", "--name", "mine")
    assert (again.exit_code, again.stdout, again.stderr.count("\n")) == (2, "", 1)


def test_help_names_every_strategy():
    text = " ".join(run("split", "--help").stdout.split()).replace("- ", "-")
    assert [name for name in STRATEGIES if name not in text] == []
