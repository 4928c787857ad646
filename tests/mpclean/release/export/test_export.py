"""What every format has in common: whole or not at all, and one clear line where it cannot be."""

import json
import shutil
import sys

import pytest
from click.testing import CliRunner

import mpclean
from mpclean.cli import main
from mpclean.errors import UserError
from mpclean.release.export import FORMATS, Exported, export
from mpclean.sources import open_source, recognise
from mpclean.sources.documents import read_documents
from mpclean.vocabulary.schema import TARGET_NAMES


def arguments(name, tmp_path):
    target = "efermi" if FORMATS[name].needs_target else None
    return {"format": name, "out": tmp_path / f"export{FORMATS[name].ending}", "target": target}


@pytest.mark.parametrize("name", FORMATS)
def test_every_crystal_of_the_choice(small_release, tmp_path, name):
    done = export(small_release, part="train", config="insulators", **arguments(name, tmp_path))
    expected = small_release.manifest.counts["insulators"]["train"].num_examples
    assert done == Exported(expected, 0)
    assert [path.name for path in tmp_path.iterdir()] == [f"export{FORMATS[name].ending}"]


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"ase-db"}))  # which notes the time of every row
def test_equal_releases_give_equal_bytes(small_release, tmp_path, name):
    written = []
    for folder in ("a", "b"):
        export(small_release, **arguments(name, tmp_path / folder))
        files = sorted(path for path in (tmp_path / folder).rglob("*") if path.is_file())
        written.append([(path.name, path.read_bytes()) for path in files])
    assert written[0]
    assert written[0] == written[1]


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_half_written(small_release, tmp_path, name, monkeypatch):
    def cut_off(split, config, strategy):
        yield next(mpclean.Release.crystals(small_release))
        raise UserError("the shard is damaged")

    monkeypatch.setattr(small_release, "crystals", cut_off)
    with pytest.raises(UserError, match="the shard is damaged"):
        export(small_release, **arguments(name, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_there_stays(small_release, tmp_path, name):
    there = arguments(name, tmp_path)["out"]
    there.write_text("mine")
    with pytest.raises(UserError, match="exists already; choose another --out"):
        export(small_release, **arguments(name, tmp_path))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "xyz"}, "unknown format 'xyz'; did you mean 'extxyz'. Known: extxyz, cif, "),
        (
            {"part": "valid"},
            "unknown part 'valid'; did you mean 'validation'. Known: train, validation, test",
        ),
        ({"config": "metals"}, "unknown configuration 'metals'; known: default, insulators, "),
        ({"out": "frames.txt"}, "--format extxyz writes one file; give --out NAME.extxyz"),
        ({"target": "efermi"}, "--format extxyz holds every label; leave --target efermi out"),
        ({"format": "cgcnn", "out": "folder"}, "--format cgcnn needs --target, one of formation_energy"),
        (
            {"format": "cgcnn", "out": "f", "target": "band_gp"},
            "unknown target 'band_gp'; did you mean 'band_gap'. Known: ",
        ),
        ({"format": "cgcnn", "out": "f", "target": "nsites"}, "unknown target 'nsites'; known: "),
        (
            {"format": "cgcnn", "out": "f", "target": "efermi", "config": "band_gap"},
            "unknown target 'efermi'; known: band_gap$",
        ),
    ],
)
def test_mistakes(small_release, tmp_path, changes, says):
    choice = {"format": "extxyz", "out": "frames.extxyz"} | changes
    with pytest.raises(UserError, match=says) as caught:
        export(small_release, **choice | {"out": tmp_path / choice["out"]})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["extxyz", "ase-db"])
def test_without_ase(small_release, tmp_path, name, monkeypatch):
    monkeypatch.setattr("mpclean.release.export.find_spec", lambda package: None)
    monkeypatch.setitem(sys.modules, "ase", None)
    with pytest.raises(UserError, match=rf"--format {name} needs ASE: pip install 'mpclean\[ase\]'"):
        export(small_release, **arguments(name, tmp_path))
    with pytest.raises(UserError, match=r"ase\(\) needs ASE: pip install 'mpclean\[ase\]'"):
        next(small_release.ase())


def test_another_split(small_release, tmp_path):
    release = mpclean.open_release(shutil.copytree(small_release.path, tmp_path / "salts"))
    mpclean.split(release.path, "chemical-system", workers=1)
    release = mpclean.open_release(release.path)
    done = export(release, "jsonl", tmp_path / "a.jsonl", "test", split="chemical-system")
    ids = [json.loads(line)["material_id"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assigned = release.assigned("chemical-system").to_pylist()
    assert set(ids) == {row["material_id"] for row in assigned if row["split"] == "test"}
    assert len(ids) == done.n_crystals > 0
    with pytest.raises(UserError, match="unknown split 'k-fold-1'; known: random, chemical-system"):
        export(release, "jsonl", tmp_path / "b.jsonl", split="k-fold-1")


@pytest.mark.parametrize(
    "command",
    [
        ("export", "{damaged}", "--format", "extxyz", "--out", "{out}"),
        ("audit", "{damaged}"),
        ("explain", "{damaged}", "mp-1"),
        ("diff", "{damaged}", "{intact}"),
        ("diff", "{intact}", "{damaged}"),
    ],
)
def test_a_damaged_release_is_not_handed_on(small_release, tmp_path, command):
    folder = tmp_path / "salts"
    shutil.copytree(small_release.path, folder)
    shard = next(folder.glob("data/*.parquet"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    paths = {"damaged": folder, "intact": small_release.path, "out": tmp_path / "a.extxyz"}
    done = CliRunner().invoke(main, [word.format(**paths) for word in command], catch_exceptions=False)
    assert done.exit_code == 2
    assert "1 files differ from the manifest" in done.stderr
    assert not (tmp_path / "a.extxyz").exists()


def test_no_crystal(rock_salt, write_lines, tmp_path):
    documents = [rock_salt(n, band_gap=0.0) for n in range(10)]
    source = write_lines(tmp_path / "docs.jsonl", documents)
    release = mpclean.build(source=source, out=tmp_path / "r", workers=1)
    with pytest.raises(UserError, match="no crystal to export; choose another --part or --config"):
        export(release, "cif", tmp_path / "cif", config="insulators")
    assert not (tmp_path / "cif").exists()


@pytest.mark.parametrize("material_id", ["a/b", "..", "a\\b", " a", "a\nb", "a\x1b[2J", "a\x7f", "é" * 101])
def test_ids_that_name_no_file(rock_salt, write_lines, tmp_path, material_id):
    documents = [rock_salt(n) for n in range(9)] + [rock_salt(9, material_id=material_id)]
    source = write_lines(tmp_path / "docs.jsonl", documents)
    release = mpclean.build(source=source, out=tmp_path / "r", workers=1)
    for name in ("cif", "poscar", "cgcnn"):
        with pytest.raises(UserError, match="an id that cannot name a file; export to one file") as caught:
            export(release, **arguments(name, tmp_path))
        assert str(caught.value).isprintable()
    assert export(release, **arguments("jsonl", tmp_path)).n_crystals == 10


def test_command(demo_release, tmp_path):
    missing = demo_release.table("train")["efermi"].null_count
    assert missing
    out = tmp_path / "cgcnn"
    words = ["export", str(demo_release.path), "--format", "cgcnn", "--out", str(out)]
    result = CliRunner().invoke(main, [*words, "--part", "train", "--target", "efermi"])
    assert result.exit_code == 0, result.output
    written = demo_release.manifest.splits["train"] - missing
    assert result.stdout == (f"{missing} crystals without efermi left out\n{written} crystals\n{out}\n")
    assert len(list(out.glob("*.cif"))) == written
    again = CliRunner().invoke(main, [*words, "--target", "efermi"])
    assert again.exit_code == 2
    assert again.stderr == f"Error: {out} exists already; choose another --out\n"


@pytest.mark.parametrize("target", [*TARGET_NAMES, "band_gap"])
def test_a_target_has_the_names_of_ecn_fit(small_release, tmp_path, target):
    done = export(small_release, "matbench", tmp_path / "a.json.gz", target=target)
    export(small_release, "matbench", tmp_path / "b.json.gz", target=TARGET_NAMES.get(target, target))
    assert done.n_crystals > 0
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


@pytest.mark.parametrize("name", ["extxyz", "cif", "poscar", "ase-db", "jsonl"])
def test_an_export_of_synthetic_labels_says_so_when_it_is_read_back(demo_release, tmp_path, name):
    out = tmp_path / f"a{FORMATS[name].ending}"
    export(demo_release, name, out, part="test")
    source = open_source(recognise(out), out)
    said = [row for batch in source.batches() for row in read_documents(batch)["synthetic"].to_pylist()]
    assert said
    assert all(said)
