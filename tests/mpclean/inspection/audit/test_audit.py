"""An audit of a release, and its command."""

import json
import shutil
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import mpclean
from mpclean.cli import main
from mpclean.crystal.similarity.levels import LEVELS, level_keys
from mpclean.inspection.audit import audit


@pytest.fixture(scope="module")
def release(demo_release, tmp_path_factory):
    """A release with a split by each level; not to be changed."""
    folder = tmp_path_factory.mktemp("audited") / "demo"
    shutil.copytree(demo_release.path, folder)
    for strategy in ("formula", "prototype", "chemical-system"):
        mpclean.split(folder, strategy, workers=1, fractions=(0.6, 0.2, 0.2))
    return mpclean.open_release(folder)


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.mark.slow
def test_a_split_by_a_level_has_no_leak_there(release):
    found = audit(release, workers=1)
    assert list(found.leakage) == ["random", "chemical-system", "formula", "prototype"]
    for split in ("formula", "prototype", "chemical-system"):
        for level in (split, *LEVELS[split].implies):
            assert level in found.keeps_apart[split]
            sizes = release.manifest.more_splits[split].splits
            assert found.leakage[split][level] == {
                "validation": {"records": sizes["validation"], "leaking": 0},
                "test": {"records": sizes["test"], "leaking": 0},
                "test_to_validation": {"records": sizes["test"], "leaking": 0},
            }
    assert found.broken == []
    assert found.keeps_apart["random"] == ["key"]
    assert found.leakage["random"]["prototype"]["test"]["leaking"] > 0


def test_levels_nest(release):
    """What is equal at a level is equal at those that it is implied by."""
    for levels in audit(release, workers=1).leakage.values():
        for name, level in LEVELS.items():
            for finer in level.implies:
                for pair, counts in levels[finer].items():
                    assert counts["leaking"] <= levels[name][pair]["leaking"]


def test_command(release):
    done = run("audit", release.path, "--workers", 1)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines[:-4])) <= 80
    clean = next(line for line in lines if line.startswith("nothing leaks in formula at: "))
    assert "reduced formula" in clean
    assert not any(line.count("(0.0%)") == 3 for line in lines)
    licence = release.manifest.upstream.licence
    assert [licence, f"{release.table().num_rows:,}", "0"] in [line.split() for line in lines]
    as_json = run("audit", release.path, "--workers", 1, "--json")
    assert json.loads(as_json.stdout) == json.loads(json.dumps(audit(release, 1).summary()))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_broken_promise_is_found(release, tmp_path, reseal, part):
    """In a split by prototype, one of two equal records of a part goes to test."""
    shutil.copytree(release.path, tmp_path / "demo")
    path = tmp_path / "demo" / "splits" / "prototype.parquet"
    rows = pq.read_table(path).to_pylist()
    keys = level_keys(release, ["prototype"], workers=1).to_pylist()
    prototype_of = {row["material_id"]: row["prototype"] for row in keys}
    together = [row for row in rows if row["split"] == part]
    counts = Counter(prototype_of[row["material_id"]] for row in together)
    twin = next(row for row in together if counts[prototype_of[row["material_id"]]] > 1)
    twin["split"] = "test"
    pq.write_table(pa.Table.from_pylist(rows), path)
    done = run("audit", reseal(tmp_path / "demo"), "--workers", 1, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["broken"] == [{"split": "prototype", "level": "prototype"}]
    assert done.stderr.splitlines() == [
        "the split prototype leaks at the level prototype, which it promises to keep apart"
    ]


def test_by_structure_a_key_may_be_in_two_parts(rock_salt, write_lines, tmp_path):
    """A rock salt in train and a zinc blende in test share their key, which no build by structure forbids."""
    blende = rock_salt(0, material_id="mp-99", spacegroup_number=225)
    blende["structure"]["sites"][1]["abc"] = [0.25, 0.25, 0.25]
    documents = [*map(rock_salt, range(3)), blende]
    parts = [{"material_id": f"mp-{n}", "split": "train"} for n in (1, 2)]
    parts += [{"material_id": "mp-3", "split": "validation"}, {"material_id": "mp-99", "split": "test"}]
    (tmp_path / "split.json").write_text(json.dumps(parts))
    release = mpclean.build(
        source=write_lines(tmp_path / "docs.jsonl", documents),
        out=tmp_path / "r",
        split=tmp_path / "split.json",
        rule={"dedup": "structure"},
        workers=1,
    )
    found = audit(release, workers=1)
    assert found.leakage["published"]["key"]["test"] == {"records": 1, "leaking": 1}
    assert found.leakage["published"]["structure"]["test"] == {"records": 1, "leaking": 0}
    assert found.keeps_apart["published"] == []
    assert found.broken == []


def test_no_release(tmp_path):
    done = run("audit", tmp_path)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1


def test_an_audit_in_python(release):
    found = mpclean.audit(release.path, workers=1)
    assert repr(found).startswith(f"Audit({release.content_hash[:8]}: 4 splits, 0 broken promises, ")
    frame = found.to_pandas()
    assert len(frame) == 4 * len(LEVELS) * 3
    leaking = frame[frame.leaking > 0]
    assert not leaking.promised.any()
    assert "<table>" in found._repr_html_()
