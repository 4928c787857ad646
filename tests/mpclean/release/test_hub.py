"""Push and pull, by the real clients, against a stand-in for the Hub on loopback."""

import fcntl
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import mpclean
from mpclean.cli import main
from mpclean.release import writer
from mpclean.release.manifest import seal_values
from mpclean.release.update import amended
from mpclean.sources.versions import UNNAMED

pytest.importorskip("huggingface_hub")

Hub = runpy.run_path(str(Path(__file__).with_name("hub_server.py")))["Hub"]

# huggingface_hub reads its settings when it is imported, so it runs in a process of its own.
CLIENT = """
import json, os, sys
from click.testing import CliRunner
from mpclean.cli import main
for line in sys.stdin:
    arguments, os.environ["HF_TOKEN"] = json.loads(line)
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    answer = {"exit_code": result.exit_code, "stdout": result.stdout, "stderr": result.stderr}
    print(json.dumps(answer), flush=True)
"""


def environment(hub, home, **changes):
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": "hf_of_tests",
    }
    return os.environ | settings | changes


@pytest.fixture(scope="module")
def server():
    with Hub().running() as server:
        yield server


@pytest.fixture
def hub(server):
    server.clear()
    return server


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    """Runs a command as ``mpclean`` would, with a token of the stand-in."""
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        env=environment(server, tmp_path_factory.mktemp("home")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def run(*arguments, token="hf_of_tests"):
            process.stdin.write(json.dumps([[str(argument) for argument in arguments], token]) + "\n")
            process.stdin.flush()
            result = SimpleNamespace(**json.loads(process.stdout.readline()))
            assert "hf_of" not in result.stdout + result.stderr  # no token is ever shown
            return result

        yield run
        process.stdin.close()


@pytest.fixture(scope="module")
def later_release(rock_salt, write_lines, tmp_path_factory):
    """Version 1.1.0: fewer crystals, and the rows of training in several shards."""
    folder = tmp_path_factory.mktemp("later")
    source = write_lines(folder / "docs.jsonl", map(rock_salt, range(12)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "mpclean.pipeline.run.find_version", lambda name: replace(UNNAMED, release_version="1.1.0")
        )
        patch.setattr(writer, "SHARD_BYTES", 4000)
        return mpclean.build(source=source, out=folder / "salts", workers=1)


@pytest.fixture
def copied(small_release, tmp_path):
    """A release that a test may spoil, in a folder of its own."""
    shutil.copytree(small_release.path, tmp_path / "mine" / "salts")
    return tmp_path / "mine" / "salts"


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def listed(stdout):
    """What a push says that it sends (with the size) and removes (with None)."""
    lines = re.findall(r"^(?:send (\S+) \(([\d,]+) bytes\)|remove (\S+))$", stdout, re.MULTILINE)
    return [(name, int(size.replace(",", ""))) if name else (gone, None) for name, size, gone in lines]


def writes(hub):
    return [(method, path) for method, path, _ in hub.log if method not in ("GET", "HEAD")]


def repository(hub, name="org/salts"):
    return hub.repositories["datasets", name]


def assert_done(result):
    assert (result.exit_code, result.stderr) == (0, "")


def assert_one_line(result, *says):
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    for part in says:
        assert part in result.stderr


# ---------------------------------------------------------------- push


def test_what_a_dry_run_lists_is_what_is_sent(hub, client, small_release):
    dry = client("push", small_release.path, "org/salts", "--dry-run")
    assert_done(dry)
    assert "nothing was sent" in dry.stdout
    assert hub.repositories == {}
    assert writes(hub) == []
    sent = client("push", small_release.path, "org/salts")
    assert_done(sent)
    (received,) = hub.received
    assert listed(dry.stdout) == listed(sent.stdout) == received
    files = contents(small_release.path)
    assert dict(received) == {name: len(content) for name, content in files.items()}

    assert list(repository(hub).tags) == ["v1.0.0"]
    commit = repository(hub).tags["v1.0.0"]
    assert sent.stdout.splitlines()[-1] == (
        f"org/salts v1.0.0, content hash {small_release.content_hash}, commit {commit}"
    )
    held = repository(hub).commits[commit]
    assert {name: held[name] for name in files} == files
    assert set(held) - set(files) == {".gitattributes"}
    assert not repository(hub).private


def test_nothing_that_is_sent_names_a_place(hub, client, small_release):
    assert_done(client("push", small_release.path, "org/salts"))
    for content in repository(hub).commits[repository(hub).tags["v1.0.0"]].values():
        for place in (small_release.path.parent, Path.home(), Path.cwd()):
            assert str(place).encode() not in content


def test_a_later_version_sends_what_changed_and_removes_what_went(
    hub, client, small_release, later_release, tmp_path
):
    assert_done(client("push", later_release.path, "org/salts"))
    gone = set(contents(later_release.path)) - set(contents(small_release.path))
    assert len(gone) > 2
    dry = client("push", small_release.path, "org/salts", "--dry-run")
    sent = client("push", small_release.path, "org/salts")
    assert_done(sent)
    assert listed(dry.stdout) == listed(sent.stdout)
    assert sorted(listed(dry.stdout), key=str) == sorted(hub.received[1], key=str)
    assert {name for name, size in hub.received[1] if size is None} == gone
    assert set(repository(hub).tags) == {"v1.0.0", "v1.1.0"}
    for release, revision in ((small_release, "v1.0.0"), (later_release, "v1.1.0"), (small_release, "main")):
        out = tmp_path / f"of-{revision}"
        assert_done(client("pull", "org/salts", "--revision", revision, "--out", out))
        assert contents(out) == contents(release.path)


def test_files_that_did_not_change_are_not_sent(hub, client, small_release):
    assert_done(client("push", small_release.path, "org/salts"))
    there = repository(hub)
    there.tags.clear()
    there.commit(there.commits[there.branches["main"]] | {"README.md": b"by hand", "notes.txt": b"mine"})
    sent = client("push", small_release.path, "org/salts")
    assert_done(sent)
    size = (small_release.path / "README.md").stat().st_size
    assert listed(sent.stdout) == hub.received[1] == [("README.md", size)]
    assert there.commits[there.tags["v1.0.0"]]["notes.txt"] == b"mine"


def test_pushing_again_does_nothing_and_says_so(hub, client, small_release):
    assert_done(client("push", small_release.path, "org/salts"))
    hub.log.clear()
    again = client("push", small_release.path, "org/salts")
    assert_done(again)
    assert again.stdout.count("\n") == 1
    assert "published already, nothing to send" in again.stdout
    assert writes(hub) == []


def test_a_published_version_does_not_change(hub, client, small_release, rock_salt, write_lines, tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", map(rock_salt, range(3, 9)))
    other = mpclean.build(source=source, out=tmp_path / "salts", workers=1)
    assert_done(client("push", small_release.path, "org/salts"))
    hub.log.clear()
    for options in ((), ("--dry-run",)):
        assert_one_line(
            client("push", other.path, "org/salts", *options),
            "v1.0.0 is published with other content",
            small_release.content_hash[:16],
            other.content_hash[:16],
            f"mpclean bump {other.path} minor",
        )
    assert writes(hub) == []


def test_what_was_added_to_a_published_version_needs_another(hub, client, copied, small_release, tmp_path):
    """A split and a file of a report: the content hash is that of before."""
    for add, what in (
        (add_formula, "other splits (formula)"),
        (add_report, "other files (report/index.html)"),
    ):
        assert_done(client("push", copied, "org/salts"))
        add(copied)
        hub.log.clear()
        for options in ((), ("--dry-run",)):
            refused = client("push", copied, "org/salts", *options)
            assert_one_line(refused, f"is published with {what}", f"mpclean bump {copied} minor")
        assert writes(hub) == []
        assert_done(client("bump", copied, "minor"))
        assert_done(client("push", copied, "org/salts"))
        for version in repository(hub).tags:
            out = tmp_path / f"{what[6:11]}-{version}"
            assert_done(client("pull", "org/salts", "--revision", version, "--out", out))
            assert mpclean.open_release(out).content_hash == small_release.content_hash
    assert set(repository(hub).tags) == {"v1.0.0", "v1.1.0", "v1.2.0"}
    assert mpclean.open_release(out).splits == ["random", "formula"]
    assert (out / "report" / "index.html").read_text() == "<html></html>"


def add_formula(path):
    mpclean.split(path, "formula", workers=1)


def add_report(path):
    with amended(path) as amendment:
        (amendment.folder / "report").mkdir()
        (amendment.folder / "report" / "index.html").write_text("<html></html>")


def test_a_push_that_broke_before_the_tag_goes_on(hub, client, small_release):
    hub.fail["POST", "/tag/"] = 503
    assert client("push", small_release.path, "org/salts").exit_code == 2
    assert repository(hub).tags == {}
    hub.fail.clear()
    sent = client("push", small_release.path, "org/salts")
    assert_done(sent)
    assert listed(sent.stdout) == []
    assert len(hub.received) == 1
    assert repository(hub).tags == {"v1.0.0": repository(hub).branches["main"]}


def test_a_tag_is_set_on_what_was_verified_only(hub, client, small_release, monkeypatch):
    """A Hub that stores other bytes than it was sent."""

    def spoil(user, oid, query, body):
        hub.large[oid] = body[:-1]
        return {}

    monkeypatch.setattr(hub, "upload", spoil)
    result = client("push", small_release.path, "org/salts")
    assert result.exit_code == 2
    assert "org/salts: holds other bytes than were sent in data/" in result.stderr
    assert repository(hub).tags == {}


def test_a_changed_release_is_not_sent(hub, client, copied):
    (copied / "README.md").write_text("changed")
    assert_one_line(client("push", copied, "org/salts"), str(copied), "not sent", "changed: README.md")
    assert_one_line(client("push", copied.parent, "org/salts"), "not a release")
    assert hub.log == []


def test_other_peoples_files_are_left_alone(hub, client, small_release):
    there = hub.add("datasets", "org/salts")
    there.commit({".gitattributes": b"", "README.md": b"made on the web"})
    assert_done(client("push", small_release.path, "org/salts", "--dry-run"))
    there.commit({".gitattributes": b"", "README.md": b"", "table.csv": b"1,2"})
    assert_one_line(
        client("push", small_release.path, "org/salts"), "org/salts: holds files that are no release"
    )
    assert writes(hub) == []


def test_private(hub, client, small_release, tmp_path):
    assert_done(client("push", small_release.path, "org/hidden", "--private"))
    assert repository(hub, "org/hidden").private
    pulled = client("pull", "org/hidden", "--out", tmp_path / "r", token="hf_of_others")
    assert_one_line(pulled, "org/hidden: the Hub answers 404: no such data set")
    assert not (tmp_path / "r").exists()
    assert_done(client("pull", "org/hidden", "--out", tmp_path / "r"))

    assert_done(client("push", small_release.path, "org/open"))
    assert_one_line(
        client("push", small_release.path, "org/open", "--private"), "org/open: is a public data set"
    )


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        (("GET", "/api/datasets/org/salts"), 500, "the Hub answers 500: the Hub has a problem"),
        (("GET", "/api/datasets/org/salts"), 503, "run the command again later"),
        (("GET", "/api/datasets/org/salts"), 418, "the Hub answers 418: Client error '418"),
        (("GET", "/api/datasets/org/salts"), 200, "the Hub's answer cannot be used (Expecting value"),
        (("POST", "/create"), 409, "the Hub answers 409: it was made in the meantime"),
        (("POST", "/create"), 429, "too many requests"),
        (("POST", "/preupload/"), 403, "the Hub answers 403: this login may not do that"),
        (("PUT", "/large/"), 403, "the Hub answers 403: this login may not do that"),
        (("POST", "/commit/"), 412, "the Hub answers 412: it was changed in the meantime"),
    ],
)
def test_what_the_hub_refuses_is_one_line(hub, client, small_release, request_, status, says):
    hub.fail[request_] = status
    result = client("push", small_release.path, "org/salts")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: org/salts: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert all(not there.tags for there in hub.repositories.values())


def test_tokens(hub, client, small_release):
    push = ("push", small_release.path, "org/salts")
    wrong = client(*push, token="hf_of_nobody")
    assert_one_line(wrong, "the Hub answers 401: log in with `hf auth login`, or set HF_TOKEN")
    others = client(*push, token="hf_of_others")
    assert others.stderr == (
        "Error: org/salts: the Hub answers 403: this login may not do that; "
        "use one with write access, or another name\n"
    )
    none = client(*push, token="")
    assert none.stderr.startswith("Error: org/salts: the Hub answers 401: log in with `hf auth login`")
    assert hub.repositories == {}


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_token_is_stored_nowhere(hub, client, copied, tmp_path, status):
    """A push and a pull that fail at every step, and then succeed; `client` sees that none is printed."""
    push, pull = ("push", copied, "org/salts"), ("pull", "org/salts", "--out", tmp_path / "pulled")
    steps = ("/preupload/", "/commit/", "/tag/")
    for step in steps[: 1 if status == 500 else 3]:  # where that may pass, the client asks again for seconds
        hub.fail = {("POST", step): status}
        assert client(*push).exit_code == 2
    hub.fail = {}
    assert_done(client(*push))
    hub.fail = {("GET", "/resolve/"): status}
    assert client(*pull).exit_code == 2
    hub.fail = {}
    assert_done(client(*pull))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if b"hf_of_tests" in path.read_bytes()]
    sent = [content for commit in repository(hub).commits.values() for content in commit.values()]
    assert len(sent) > 10
    assert not [content for content in sent if b"hf_of_tests" in content]


@pytest.mark.parametrize("name", ["salts", "a/b/c", "org/no name", "org/", "/salts", "org/--"])
def test_names(hub, client, small_release, name, tmp_path):
    assert_one_line(client("push", small_release.path, name), name, "give org/name")
    assert_one_line(client("pull", name, "--out", tmp_path / "r"), name, "give org/name")
    assert hub.log == []
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- pull


def test_what_comes_back_is_what_went(hub, client, small_release, tmp_path):
    assert_done(client("push", small_release.path, "org/salts"))
    result = client("pull", "org/salts", "--revision", "v1.0.0", "--out", tmp_path / "r")
    assert_done(result)
    n = len(contents(small_release.path))
    assert result.stdout.splitlines() == [
        f"org/salts v1.0.0: {n} files intact, content hash {small_release.content_hash}",
        str(tmp_path / "r"),
    ]
    assert contents(tmp_path / "r") == contents(small_release.path)
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_a_folder_that_is_taken(hub, client, small_release, later_release, copied):
    assert_done(client("push", later_release.path, "org/salts"))
    before = contents(copied)
    pull = ("pull", "org/salts", "--out", copied)
    assert_one_line(client(*pull), f"{copied} exists already", "--force")
    assert contents(copied) == before
    hub.fail["GET", "/resolve/"] = 503
    assert_one_line(client(*pull, "--force"), "org/salts: the Hub answers 503")
    assert contents(copied) == before
    hub.fail.clear()
    assert_done(client(*pull, "--force"))
    assert contents(copied) == contents(later_release.path)
    assert [p.name for p in copied.parent.iterdir()] == ["salts"]

    (copied / "manifest.json").unlink()
    assert_one_line(client(*pull, "--force"), f"{copied} exists and is no release")


def test_a_revision_that_is_not_there(hub, client, small_release, tmp_path):
    assert_done(client("push", small_release.path, "org/salts"))
    assert_one_line(
        client("pull", "org/salts", "--revision", "v2.0.0", "--out", tmp_path / "r"),
        "org/salts: has no revision v2.0.0; it has main, v1.0.0",
    )
    assert_one_line(
        client("pull", "org/sugar", "--out", tmp_path / "r"),
        "org/sugar: the Hub answers 404: no such data set",
    )
    assert list(tmp_path.iterdir()) == []


def spoiled(files, how):
    """Files of a release as they must not come back, and what is said of them."""
    shard = next(name for name in files if name.startswith("data/train"))
    manifest = json.loads(files["manifest.json"])
    if how == "no manifest":
        return {k: v for k, v in files.items() if k != "manifest.json"}, "main is no release"
    if how == "changed manifest":
        return files | {"manifest.json": files["manifest.json"] + b" "}, "main: the manifest was changed"
    if how == "newer format":
        return files | {"manifest.json": seal_values(manifest | {"format_version": 99})}, "format 99 is newer"
    if how == "changed":
        return files | {shard: files[shard][:-1] + b"!"}, f"changed: {shard}"
    if how == "cut":
        return files | {shard: files[shard][:100]}, f"changed: {shard}"
    return {k: v for k, v in files.items() if k != shard}, f"missing: {shard}"


@pytest.mark.parametrize(
    "how", ["no manifest", "changed manifest", "newer format", "changed", "cut", "missing"]
)
def test_what_is_no_intact_release_is_not_kept(hub, client, small_release, tmp_path, how):
    assert_done(client("push", small_release.path, "org/salts"))
    files, says = spoiled(contents(small_release.path), how)
    repository(hub).commit(files)
    assert_one_line(client("pull", "org/salts", "--out", tmp_path / "r"), "org/salts", says)
    assert list(tmp_path.iterdir()) == []


def test_two_into_one_folder(hub, client, small_release, tmp_path):
    assert_done(client("push", small_release.path, "org/salts"))
    with (tmp_path / ".r.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert_one_line(client("pull", "org/salts", "--out", tmp_path / "r"), "another command is writing it")
    assert not (tmp_path / "r").exists()


# ---------------------------------------------------------------- as a user has it


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set, so the Hub is not asked; unset it"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot reach http://127.0.0.1:9 ([Errno 111]"),
    ],
)
def test_no_way_to_the_hub(hub, small_release, tmp_path, settings, says):
    for arguments in (["push", str(small_release.path), "org/salts"], ["pull", "org/salts", "--out", "r"]):
        done = subprocess.run(
            [sys.executable, "-c", "from mpclean.cli import main; main()", *arguments],
            cwd=tmp_path,
            env=environment(hub, tmp_path / "home", **settings),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("Error: org/salts: ")
        assert done.stderr.count("\n") == 1
        assert says in done.stderr
        assert not (tmp_path / "r").exists()
    assert hub.log == []


def test_without_the_client(small_release, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    result = CliRunner().invoke(main, ["push", str(small_release.path), "org/salts"])
    assert_one_line(result, "pip install 'mpclean[hub]'")


LOAD = """
import json, sys, datasets
datasets.disable_progress_bars()
loaded = []
load_dataset = lambda *args, **options: loaded.append(datasets.load_dataset(*args, **options))
exec(sys.stdin.read().replace("from datasets import load_dataset", ""))
load_dataset("org/salts")
load_dataset("org/salts", "insulators", revision="v1.0.0", streaming=True)
print(json.dumps([{k: [row["material_id"] for row in v] for k, v in d.items()} for d in loaded]))
"""


@pytest.mark.slow
def test_the_card_shows_how_it_is_loaded(hub, client, small_release, later_release, tmp_path):
    pytest.importorskip("datasets")
    for release in (small_release, later_release):
        assert_done(client("push", release.path, "org/salts"))
    snippet = re.search(r"```python\n(.+?)```", (small_release.path / "README.md").read_text(), re.DOTALL)[1]
    assert 'load_dataset("org/name", "insulators")' in snippet
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        input=snippet.replace("org/name", "org/salts"),
        env=environment(hub, tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    def ids(release, insulators):
        tables = {split: release.table(split) for split in ("train", "validation", "test")}
        return {
            split: [r["material_id"] for r in rows.to_pylist() if r["is_insulator"] or not insulators]
            for split, rows in tables.items()
        }

    newest, this, everything, streamed = json.loads(done.stdout.splitlines()[-1])
    assert newest == {k: v for k, v in ids(later_release, True).items() if v}
    assert this == streamed == {k: v for k, v in ids(small_release, True).items() if v}
    assert everything == ids(later_release, False)
