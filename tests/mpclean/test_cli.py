"""The commands: what they print, and one line for every mistake."""

import gzip
import json
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mpclean.cli import main
from mpclean.sources.versions import find_version


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Let tables be as wide as they are, but where a test is about their width."""
    monkeypatch.setenv("COLUMNS", "200")


def run(*args):
    """A command in this process; an exception that leaves it is a traceback to the user."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def assert_one_line(result, *says):
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    for part in says:
        assert part in result.stderr


HEAVY = (
    "pymatgen",
    "scipy",
    "pandas",
    "torch",
    "pyarrow",
    "numpy",
    "moyopy",
    "spglib",
    "datasets",
    "mpclean.pipeline.run",
)


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from mpclean.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "build" in done.stdout
    assert "verify" in done.stdout


def test_package_imports_nothing_heavy():
    code = f"import sys, mpclean; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_package_never_imports_the_models():
    code = (
        "import sys, pkgutil, importlib, mpclean\n"
        "for m in pkgutil.walk_packages(mpclean.__path__, 'mpclean.'): importlib.import_module(m.name)\n"
        "print([name for name in ('ecn', 'torch', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_build_and_verify(snapshot, tmp_path):
    out = tmp_path / "salts"
    result = run("build", "--source", snapshot, "--out", out, "--workers", 1, "--limit", 12)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[-1] == str(out)
    assert lines[-2].startswith("content hash ")
    for word in (
        "records read",
        "no duplicates",
        "three-dimensional",
        "train",
        "validation",
        "formation_energy",
    ):
        assert word in result.stdout
    result = run("verify", out)
    assert result.exit_code == 0
    assert f"{sum(path.is_file() for path in out.rglob('*'))} files intact" in result.stdout
    assert lines[-2].split()[-1] in result.stdout

    (out / "README.md").write_text("changed")
    (out / "extra").touch()
    result = run("verify", out)
    assert result.exit_code == 2
    assert result.stdout.splitlines() == ["extra: extra", "changed: README.md"]
    assert result.stderr.count("\n") == 1
    assert f"{out}: 2 files or tables are not what they should be" in result.stderr


@pytest.mark.parametrize(
    ("dedup", "note"),
    [
        ("key", "All of them were excluded; --rule dedup=structure would keep 1."),
        ("structure", "Only those with equal structures were excluded; the key would exclude 1 more."),
    ],
)
def test_duplicates_are_judged(rock_salt, write_lines, tmp_path, monkeypatch, dedup, note):
    """A duplicate that is one, and a zinc blende of the same formula and stated space group."""
    monkeypatch.setenv("COLUMNS", "200")  # nothing is folded
    blende = rock_salt(1, material_id="mp-98", formation_energy_per_atom=-0.5, spacegroup_number=225)
    blende["structure"]["sites"][1]["abc"] = [0.25, 0.25, 0.25]
    documents = [*map(rock_salt, range(12)), rock_salt(0, material_id="mp-99"), blende]
    path = write_lines(tmp_path / "docs.jsonl", documents)
    out = tmp_path / "salts"
    result = run("build", "--source", path, "--out", out, "--workers", 1, "--rule", f"dedup={dedup}")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "equal structures 1 0.000 0.000 mp-99 and mp-1 Mg1 O1, space group 225" in lines
    assert "distinct phases 1 0.510 0.510 mp-98 and mp-2 Mg1 S1, space group 225" in lines
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "mp-98 and mp-2" in card
    for text in (result.stdout, card):
        assert note in text


def test_published_numbers_beside_ours(snapshot, tmp_path):
    result = run("build", "--version", "2021.05", "--source", snapshot, "--split", "random",
                 "--out", tmp_path / "r", "--workers", 1)  # fmt: skip
    assert result.exit_code == 0
    assert "126,126" in result.stdout
    assert "-1.42" in result.stdout
    assert "published list" not in result.stdout


def test_replay(published_salts, snapshot, tmp_path):
    result = run("build", "--version", "2021.05", "--source", snapshot, "--limit", 12,
                 "--out", tmp_path / "r", "--workers", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert re.search(r"^on the list +18 +100\.0%$", result.stdout, re.MULTILINE)
    assert re.search(r"^agree: on the list and kept +10 +55\.6%$", result.stdout, re.MULTILINE)
    assert re.search(r"^missing: not in the snapshot +8 +44\.4%$", result.stdout, re.MULTILINE)
    assert re.search(r"^extra: kept by the rules, not on the list +2$", result.stdout, re.MULTILINE)
    assert "The source states no version; 2021.05 is claimed." in result.stdout
    assert "Only 12 records were read: no count compares with a published one." in result.stdout
    assert result.stdout.splitlines()[-1] == str(tmp_path / "r")


def test_versions():
    result = run("versions")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[2:]] == ["demo", "perov-5", "2021.05"]


def test_versions_of_one():
    result = run("versions", "2021.05")
    assert result.exit_code == 0
    version = find_version("2021.05")
    for part in ("126,126", "78,649", "62,919", "-1.42", version.lists.url, version.lists.commit):
        assert part in result.stdout
    for name, sha256 in version.lists.sha256.items():
        assert re.search(rf"^{re.escape(name)} +{sha256}$", result.stdout, re.MULTILINE)


def test_versions_as_json():
    every = json.loads(run("versions", "--json").stdout)
    assert list(every) == ["demo", "perov-5", "2021.05"]
    assert every["2021.05"]["published"]["stages"]["insulators"] == 33971
    assert every["perov-5"]["data"]["sha256"]["val.csv"].startswith("326f4012")
    assert json.loads(run("versions", "perov-5", "--json").stdout) == {"perov-5": every["perov-5"]}


def test_versions_of_an_unknown_one():
    assert_one_line(run("versions", "2022"), "unknown version '2022'", "demo, perov-5, 2021.05")


def test_a_given_split(snapshot, tmp_path):
    (tmp_path / "split.csv").write_text("material_id,split\nmp-1,train\nmp-2,test\n")
    out = tmp_path / "r"
    args = ("build", "--source", snapshot, "--out", out, "--workers", 1, "--limit", 4)
    assert run(*args, "--split", tmp_path / "split.csv").exit_code == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["splits"] == {"train": 1, "validation": 0, "test": 1}


# ---------------------------------------------------------------- mistakes

FILES = {
    "empty.jsonl": b"",
    "notes.txt": b"notes",
    "no.parquet": b"no parquet",
    "no.json": b"{",
    "no.yaml": b"a: [",
    "no.jsonl.gz": b"no gzip",
    "cut.jsonl.gz": gzip.compress(b'{"material_id": "mp-1"}\n' * 1000)[:40],
}


@pytest.mark.parametrize("name", FILES)
def test_unreadable_file(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    result = run("build", "--source", tmp_path / name, "--out", tmp_path / "r", "--workers", 1)
    assert_one_line(result, str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_missing_file(tmp_path):
    result = run("build", "--source", tmp_path / "no.jsonl", "--out", tmp_path / "r")
    assert_one_line(result, str(tmp_path / "no.jsonl"), "no such file or folder")


def test_folder_without_records(tmp_path):
    assert_one_line(run("build", "--source", tmp_path, "--out", tmp_path / "r"), str(tmp_path), ".parquet")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("garbage\nmore\n", "docs.jsonl, line 1: not JSON"),
        ('{"material_id": "mp-1"}\n', "docs.jsonl, line 1: no structure"),
        ('{"material_id": "mp-1", "structure": "garbage\\nof several\\nlines"}\n', "structure is malformed"),
        ("{}\n", "no id"),
    ],
)
def test_no_readable_record(tmp_path, content, says):
    (tmp_path / "docs.jsonl").write_text(content)
    result = run("build", "--source", tmp_path / "docs.jsonl", "--out", tmp_path / "r", "--workers", 1)
    assert_one_line(result, says, "docs.jsonl: has no readable record")
    assert [path.name for path in tmp_path.iterdir()] == ["docs.jsonl"]


@pytest.mark.parametrize("name", ["docs.jsonl", "docs.json", "docs.jsonl.gz"])
def test_no_record_at_all_names_the_file(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"") if name.endswith("gz") else b"[]" if name.endswith("json") else b"\n")
    assert_one_line(run("build", "--source", path, "--out", tmp_path / "r", "--workers", 1), str(path))


def test_mistakes_in_options(snapshot, tmp_path):
    out = ("--out", tmp_path / "r")
    for args, says in (
        (("--version", "2022", *out), ("unknown version '2022'", "demo, perov-5, 2021.05", "--source PATH")),
        (("--source", snapshot), ("--out DIR",)),
        (out, ("give --version of a known version, or --source",)),
        (
            ("--version", "2021.05", *out),
            (
                "no public service is known to serve version 2021.05",
                "--source PATH",
                "--source materials-project --allow-version-drift",
                "another version",
            ),
        ),
        (("--source", "records", *out), ("--source PATH",)),
        (("--version", "demo", "--source", snapshot, *out), ("demo is embedded", "leave out --source")),
        (("--version", "2021.05", "--source", "demo", *out), ("2021.05 is not served by the source demo",)),
        (("--version", "perov-5", "--source", tmp_path, *out), (str(tmp_path), "train.csv")),
        (("--source", snapshot, "--split", "published", *out), ("--split PATH",)),
        (("--source", snapshot, "--split", tmp_path / "no.csv", *out), ("no.csv: no such file or folder",)),
        (("--source", snapshot, "--split", snapshot, *out), ("docs.jsonl: not a split",)),
    ):
        assert_one_line(run("build", "--workers", 1, *args), *says)
        assert not (tmp_path / "r").exists()


def test_split_of_other_records(snapshot, tmp_path):
    (tmp_path / "split.csv").write_text("material_id,split\nmp-777,train\n")
    result = run("build", "--source", snapshot, "--split", tmp_path / "split.csv", "--out", tmp_path / "r",
                 "--workers", 1, "--limit", 3)  # fmt: skip
    assert_one_line(result, "no record is on the lists of the split", "another --split")
    assert not (tmp_path / "r").exists()


def test_existing_release(small_release, snapshot):
    result = run("build", "--source", snapshot, "--out", small_release.path, "--workers", 1)
    assert_one_line(result, str(small_release.path), "another --out", "--force")


def test_folder_that_cannot_be_made(snapshot):
    result = run("build", "--source", snapshot, "--out", snapshot / "deeper" / "r", "--workers", 1)
    assert_one_line(result, str(snapshot))


@pytest.mark.parametrize(
    "option", [("--workers", "0"), ("--limit", "0"), ("--min-area", "-1"), ("--limit", "many")]
)
def test_numbers_out_of_range(snapshot, tmp_path, option):
    result = run("build", "--source", snapshot, "--out", tmp_path / "r", *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr


def test_area_nan(snapshot, tmp_path):
    out = ("--out", tmp_path / "r", "--workers", 1)
    assert_one_line(run("build", "--source", snapshot, *out, "--min-area", "nan", "--limit", 1))


def test_verify_what_is_no_release(tmp_path):
    assert_one_line(run("verify", tmp_path / "no"), str(tmp_path / "no"), "mpclean build")
    assert_one_line(run("verify", tmp_path), str(tmp_path), "manifest.json")


def test_verify_a_changed_manifest(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    assert_one_line(
        run("verify", tmp_path), str(tmp_path / "manifest.json"), "build or fetch the release again"
    )


def test_interrupted(snapshot, tmp_path, monkeypatch):
    from mpclean.pipeline.passes import Passes

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Passes, "bond", interrupt)
    result = run("build", "--source", snapshot, "--out", tmp_path / "r", "--workers", 1, "--limit", 2)
    assert result.exit_code == 130
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        "Interrupted; a release is written whole or not at all. 1 finished batches (0.0 MB) are kept in "
    )
    assert [path.name for path in tmp_path.iterdir()] == [".r.unfinished"]


def test_out_of_memory(snapshot, tmp_path, monkeypatch):
    from mpclean.pipeline.passes import Passes

    def starve(*args):
        error = MemoryError()
        error.add_note("in a worker process:\nTraceback")
        raise error

    monkeypatch.setattr(Passes, "bond", starve)
    result = run("build", "--source", snapshot, "--out", tmp_path / "r", "--workers", 1, "--limit", 2)
    assert_one_line(result, "not enough memory; try again with fewer --workers", "the same command goes on")
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_as_a_user_sees_it(tmp_path):
    """A process of its own: workers, progress and warnings write to the same terminal."""
    (tmp_path / "docs.jsonl").write_text('{"material_id": "mp-1", "structure": "garbage"}\n')
    command = ["build", "--source", "docs.jsonl", "--out", "r", "--workers", "2"]
    done = subprocess.run(
        [sys.executable, "-c", "from mpclean.cli import main; main()", *command],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "docs.jsonl, line 1" in done.stderr
    assert "Traceback" not in done.stderr
