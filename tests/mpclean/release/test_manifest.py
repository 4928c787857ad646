"""A manifest that a stranger wrote: refused in one line, and nothing outside the release is touched."""

import copy
import json

import pytest
from click.testing import CliRunner

import mpclean
from mpclean.cli import main
from mpclean.release.layout import FORMAT_VERSION
from mpclean.release.manifest import seal_values

NAMES = ("../x", "/x", "data/../../x", "a//b", "./a", "C:x", "a\\b", "data/*", "a\0b", "a\nb", "")
NUMBERS = (True, "1", 1.5, -1, None, [], {})


def changes():
    """Paths into a manifest with values that no build writes."""
    for name in NAMES:
        yield ("files", name), {"bytes": 1, "sha256": "0" * 64}
        yield ("more_splits", "formula", "rows", "train", "files"), [name]
    yield ("more_splits", "formula", "rows", "train", "files"), ["README.md"]
    yield ("more_splits", "formula", "rows", "train", "files"), ["splits/random.parquet"]
    yield ("more_splits", "formula", "rows", "train", "files"), ["splits/formula/nothing.parquet"]
    yield ("more_splits", "formula", "made_as"), "../.."
    yield ("more_splits", "../../x"), "copy"
    yield ("more_splits", "random"), "copy"
    yield ("split", "strategy"), "../../x"
    for number in NUMBERS:
        yield ("format_version",), number
        yield ("splits", "train"), number
    for field in ("name", "release_version", "content_hash", "upstream", "parameters", "stages", "columns"):
        yield (field,), None
        yield (field,), 7
    yield ("release_version",), "1.0"
    yield ("release_version",), "1.0.0\n"
    yield ("release_version",), "../1.0.0"
    yield ("content_hash",), "0" * 63
    yield ("stages",), []
    yield ("stages", 0, "left"), -1
    yield ("upstream", "synthetic"), "no"
    yield ("statistics", "band_gap"), {"count": 1, "mean": "x", "std": 0.0}
    yield ("parameters", "bonds"), None
    yield ("unknown",), 1
    yield ("counts",), {}
    yield ("shards", "train"), "many"
    yield ("labels",), [{"name": "../x", "unit": "", "meaning": ""}]
    yield ("files", "ledger/excluded.parquet"), "gone"


CHANGES = list(changes())


@pytest.fixture(scope="module")
def split_manifest(tmp_path_factory, small_release):
    import shutil

    folder = tmp_path_factory.mktemp("crafted") / "r"
    shutil.copytree(small_release.path, folder)
    mpclean.split(folder, "formula", workers=1)
    return folder, json.loads((folder / "manifest.json").read_bytes())


def test_there_are_enough_of_them():
    assert len(CHANGES) >= 60


@pytest.mark.parametrize(("path", "value"), CHANGES, ids=[f"{k}" for k in range(len(CHANGES))])
def test_a_crafted_manifest_is_refused(split_manifest, path, value):
    folder, manifest = split_manifest
    manifest = copy.deepcopy(manifest)
    place = manifest
    for step in path[:-1]:
        place = place[step]
    if value == "gone":
        del place[path[-1]]
    else:
        place[path[-1]] = copy.deepcopy(manifest["more_splits"]["formula"]) if value == "copy" else value
    (folder / "manifest.json").write_bytes(seal_values(manifest))
    victim = folder.parent / "x"
    victim.write_text("mine")
    before = sorted(path for path in folder.parent.rglob("*"))
    done = CliRunner().invoke(main, ["split", str(folder), "--strategy", "formula", "--force"])
    assert done.exit_code == 2, done.output
    assert len(done.output.strip().splitlines()) == 1
    assert victim.read_text() == "mine"
    assert sorted(path for path in folder.parent.rglob("*")) == before


def test_a_format_of_the_future(split_manifest):
    folder, manifest = split_manifest
    (folder / "manifest.json").write_bytes(seal_values(manifest | {"format_version": FORMAT_VERSION + 1}))
    with pytest.raises(mpclean.UserError, match="is newer than this program reads"):
        mpclean.open_release(folder)
