"""What comes from elsewhere is data: nothing of it is run, and no name in it leads out of its folder."""

import ast
import json
import pickle
import shutil
import traceback
from pathlib import Path

import pytest

import mpclean
from mpclean import UserError, open_release
from mpclean.release.manifest import seal_values

PACKAGES = Path(mpclean.__file__).parent, Path(mpclean.__file__).parents[1] / "ecn"


def test_nothing_is_unpickled():
    """No module imports what can unpickle or run text, or unpacks an archive into names that it brings.

    What the worker processes of a build send each other goes through pipes of `multiprocessing`, and to
    workers of a Dask cluster through its own connections, as pickles: both ends are this program.
    """
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "pandas.io.pickle"}
    modules |= {"tarfile", "zipfile"}
    calls = {"eval", "exec", "read_pickle", "load_pickle", "unsafe_load", "full_load"}
    calls |= {"extractall", "unpack_archive"}
    files = [file for package in PACKAGES for file in package.rglob("*.py")]
    assert len(files) > 100
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                assert not modules & {alias.name for alias in node.names}, file
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in modules, file
            elif isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if isinstance(node.func, ast.Name) or name not in (
                    "eval",
                    "exec",
                ):  # `model.eval()` is another
                    assert name not in calls, (file, node.lineno)
                if ast.unparse(node.func) in ("np.load", "numpy.load", "torch.load"):
                    words = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    safe = (
                        ("weights_only", "True")
                        if "torch" in ast.unparse(node.func)
                        else ("allow_pickle", "False")
                    )
                    assert words.get(safe[0]) == safe[1], (file, node.lineno)


class Run:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "name", ["x.parquet", "x.jsonl", "x.json", "x.yaml", "x.json.gz", "x.db", "x.extxyz"]
)
def test_a_pickle_is_no_source(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Run(tmp_path / "ran")))
    with pytest.raises(UserError):
        mpclean.build(source=tmp_path / name, out=tmp_path / "r", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_yaml_makes_no_objects(tmp_path):
    (tmp_path / "x.yaml").write_text(f"!!python/object/apply:pathlib.Path.touch [{tmp_path / 'ran'}]\n")
    with pytest.raises(UserError, match="damaged or not yaml"):
        mpclean.build(source=tmp_path / "x.yaml", out=tmp_path / "r", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../outside",
            "data/../../outside",
            "/etc/passwd",
            "data/train-/../../../outside",
            "data//x",
            "./x",
        ),
        *("..\\outside", "C:outside", "data/*", ".."),
    ],
)
def test_a_manifest_that_names_a_file_outside(small_release, tmp_path, name):
    release = tmp_path / "r"
    shutil.copytree(small_release.path, release)
    (tmp_path / "outside").write_text("x")
    manifest = json.loads((release / "manifest.json").read_bytes())
    manifest["files"][name] = {"bytes": 1, "sha256": "0" * 64}
    (release / "manifest.json").write_bytes(seal_values(manifest))  # with the hash that belongs to it
    with pytest.raises(UserError, match="the name of a file in the release is needed"):
        open_release(release)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_in_a_release_is_named(small_release, tmp_path, what):
    """Its bytes are right, and they are not in the release."""
    release = tmp_path / "r"
    shutil.copytree(small_release.path, release)
    place = release / "data" if what == "folder" else release / "README.md"
    place.rename(tmp_path / "outside")
    place.symlink_to(tmp_path / "outside")
    problems = open_release(release).verify()
    assert problems
    assert all("README.md" in problem or "data" in problem for problem in problems)


@pytest.mark.parametrize("page", ["../summary-00000", "/etc/passwd", "summary-0/../../x", "summary"])
def test_a_snapshot_that_names_a_file_outside(tmp_path, page):
    facts = {"format": 1, "database_version": "1", "sha256": {page: "0" * 64}}
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "snapshot.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="is the name of no page"):
        mpclean.build(source=tmp_path / "s", out=tmp_path / "r", workers=1)


@pytest.mark.parametrize("material_id", ["../../outside", "/etc/x", "..", "a/b", "a\0b"])
def test_an_id_is_no_path(rock_salt, write_lines, tmp_path, material_id):
    from mpclean.release.export import export

    path = write_lines(tmp_path / "docs.jsonl", [rock_salt(0, material_id=material_id), rock_salt(1)])
    release = mpclean.build(source=path, out=tmp_path / "in" / "r", workers=1)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError):
        export(release, format="cif", out=tmp_path / "in" / "cif")
    assert sorted(tmp_path.rglob("*")) == before


def _chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_a_key_is_in_no_error(tmp_path, monkeypatch, capfd):
    """The live source cannot be reached, and says so without its key."""
    from mp_api.client.core.settings import MAPI_CLIENT_SETTINGS

    from mpclean.sources import mp_client

    monkeypatch.setattr(mp_client, "BACKOFF", 0.01)
    secret = "S3cretS3cretS3cretS3cretS3cret12"
    assert len(secret) == 32
    monkeypatch.setenv("MP_API_KEY", secret)
    # Nobody listens there. mp-api reads MP_API_ENDPOINT when it is first imported, which may be past.
    monkeypatch.setattr(MAPI_CLIENT_SETTINGS, "ENDPOINT", "http://127.0.0.1:9/")
    monkeypatch.setenv("MPCLEAN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError) as caught:
        mpclean.build(source="materials-project", out=tmp_path / "r", workers=1, limit=3)
    # Every error along the chain, causes and contexts alike, as a traceback prints them and by its fields.
    chain = list(_chain(caught.value))
    assert len(chain) > 1  # there is a cause to look at: the connection that was refused
    shown = "".join(traceback.format_exception(caught.value)) + "".join(map(repr, chain))
    assert "127.0.0.1:9" in shown
    assert secret not in shown
    said = capfd.readouterr()
    assert secret not in said.out + said.err
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
    ]
