"""A build that was stopped goes on from its finished batches, and gives the same bytes."""

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pyarrow as pa
import pytest

import mpclean
from mpclean import UserError
from mpclean.errors import UnfinishedError
from mpclean.pipeline import passes
from mpclean.pipeline import resume as unfinished
from mpclean.sources import base
from mpclean.vocabulary.schema import BONDED

pytestmark = pytest.mark.slow  # builds are stopped and killed, and go on


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(base, "BATCH_SIZE", 4)


@pytest.fixture(scope="module")
def whole(snapshot, tmp_path_factory):
    """What an uninterrupted build of the twenty rock salts gives: five batches in both passes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "BATCH_SIZE", 4)
        return contents(
            mpclean.build(source=snapshot, out=tmp_path_factory.mktemp("whole") / "r", workers=1).path
        )


@pytest.fixture
def begun(monkeypatch):
    """How often each batch of each pass was begun; what `stop` names ends the build there."""
    counts = Counter()
    stop = {}
    work = {"prepare": passes.prepare, "bond": passes.bond}

    def counting(name):
        def call(task):
            batch = task.documents["location"] if name == "prepare" else task.prepared["position"]
            key = name, str(batch[0])
            counts[key] += 1
            if stop.get("at") == sum(counts.values()):
                raise stop["by"]
            return work[name](task)

        monkeypatch.setattr(passes, name, call)

    counting("prepare")
    counting("bond")
    return counts, stop


DISK_FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("at", "by"), [(2, KeyboardInterrupt()), (3, KeyboardInterrupt()), (6, DISK_FULL), (9, DISK_FULL)]
)
def test_a_stopped_build_goes_on(snapshot, tmp_path, whole, begun, capsys, at, by):
    counts, stop = begun
    stop |= {"at": at, "by": by}
    by.__notes__ = []
    with pytest.raises(type(by)) as caught:
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
    (note,) = caught.value.__notes__
    assert f"{at - 1} finished batches (0." in note
    assert f"are kept in {tmp_path / '.r.unfinished'}: the same command goes on" in note
    assert [path.name for path in tmp_path.iterdir()] == [".r.unfinished"]
    capsys.readouterr()

    stop.clear()
    release = mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
    assert contents(release.path) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    # The batch that was stopped was begun twice, and no other was.
    assert sorted(counts.values()) == [1] * 9 + [2]
    said = f"going on from {at - 1} batches that an earlier command finished" if at > 1 else ""
    assert said in capsys.readouterr().err


def test_stopped_before_a_batch_is_finished_nothing_stays(snapshot, tmp_path, begun):
    _, stop = begun
    by = KeyboardInterrupt()
    stop |= {"at": 1, "by": by}
    with pytest.raises(KeyboardInterrupt):
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
    assert by.__notes__ == ["no batch was finished: the same command begins anew."]
    assert list(tmp_path.iterdir()) == []


def test_comparisons_go_on_too(rock_salt, write_lines, tmp_path, monkeypatch):
    """Three pairs of duplicates, a task each; the build is stopped at the second."""
    documents = [rock_salt(n % 3, material_id=f"mp-{n}") for n in range(6)]
    source = write_lines(tmp_path / "docs.jsonl", documents)
    monkeypatch.setattr(passes, "_GROUPS", 1)
    uninterrupted = contents(mpclean.build(source=source, out=tmp_path / "whole" / "r", workers=1).path)
    work, begun, stop = passes.match, [], {"at": 2}

    def counting(task):
        begun.append(task.prepared["position"].to_pylist())
        if len(begun) == stop.get("at"):
            raise KeyboardInterrupt
        return work(task)

    monkeypatch.setattr(passes, "match", counting)
    with pytest.raises(KeyboardInterrupt):
        mpclean.build(source=source, out=tmp_path / "r", workers=1)
    stop.clear()
    assert contents(mpclean.build(source=source, out=tmp_path / "r", workers=1).path) == uninterrupted
    assert begun == [[0, 3], [1, 4], [1, 4], [2, 5]]


def test_records_are_not_read_again_after_the_first_pass(snapshot, tmp_path, whole, begun, monkeypatch):
    _, stop = begun
    stop |= {"at": 7, "by": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
    stop.clear()
    monkeypatch.setattr("mpclean.sources.records.batched_documents", lambda documents: pytest.fail("read"))
    assert contents(mpclean.build(source=snapshot, out=tmp_path / "r", workers=1).path) == whole


@pytest.mark.parametrize("change", ["min_area", "limit", "code", "library", "snapshot"])
def test_another_build_finds_nothing_to_use(
    snapshot, write_lines, rock_salt, tmp_path, begun, monkeypatch, change
):
    counts, stop = begun
    source = write_lines(tmp_path / "docs.jsonl", map(rock_salt, range(20)))
    stop |= {"at": 8, "by": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        mpclean.build(source=source, out=tmp_path / "r", workers=1)
    stop.clear()
    counts.clear()
    options = {}
    if change == "min_area":
        options = {"min_area": 0.5}
    elif change == "limit":
        options = {"limit": 18}
    elif change == "code":
        (tmp_path / "mpclean").mkdir()
        (tmp_path / "mpclean" / "pipeline").mkdir()
        (tmp_path / "mpclean" / "pipeline" / "steps.py").write_text("# another version\n")
        monkeypatch.setattr(unfinished, "__file__", str(tmp_path / "mpclean" / "pipeline" / "resume.py"))
    elif change == "library":
        monkeypatch.setattr(unfinished, "package_version", lambda name: "0.0.0")
    else:
        write_lines(source, [rock_salt(0, efermi=0.0), *map(rock_salt, range(1, 20))])
    release = mpclean.build(source=source, out=tmp_path / "r", workers=1, **options)
    assert len(counts) == 10
    monkeypatch.undo()
    monkeypatch.setattr(base, "BATCH_SIZE", 4)
    again = mpclean.build(source=source, out=tmp_path / "elsewhere" / "r", workers=1, **options)
    assert release.content_hash == again.content_hash


def test_what_does_not_change_the_work_may_change(snapshot, tmp_path, begun):
    """The number of workers and the split come after it; so does the name of the file."""
    counts, stop = begun
    stop |= {"at": 8, "by": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
    stop.clear()
    split = tmp_path / "split.csv"
    split.write_text("material_id,split\nmp-1,train\nmp-2,test\n")
    other = snapshot.rename(snapshot.with_name("other.jsonl"))
    try:
        release = mpclean.build(source=other, out=tmp_path / "r", split=split, workers=1)
    finally:
        other.rename(snapshot)
    assert release.manifest.splits == {"train": 1, "validation": 0, "test": 1}
    assert sum(counts.values()) == 11


def test_a_build_that_would_fail_again_keeps_nothing(snapshot, tmp_path, begun, monkeypatch):
    _, stop = begun
    stop |= {"at": 8, "by": UserError("wrong")}
    with pytest.raises(UserError, match="wrong"):
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("mpclean.pipeline.run.write_release", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_runs_out_of_workers_keeps_its_batches(snapshot, tmp_path, begun):
    _, stop = begun
    stop |= {"at": 8, "by": UnfinishedError("workers keep dying")}
    with pytest.raises(UnfinishedError):
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == [".r.unfinished"]


KILLED = """
import sys, time
from mpclean.pipeline import run as pipeline
from mpclean.sources import base
base.BATCH_SIZE = 4
if __name__ == "__main__":
    pipeline.build(source=sys.argv[1], out=sys.argv[2], workers=1)
"""


@pytest.mark.slow
def test_killed_again_and_again(snapshot, tmp_path, whole):
    """Killed when there is one more batch than before, until the release is there."""
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    out = tmp_path / "out" / "r"
    command = [sys.executable, str(script), str(snapshot), str(out)]
    for enough in (2, 5, 8):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                if len(list(out.parent.glob(".r.unfinished/*/*.arrow"))) >= enough:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.002)
        assert process.returncode in (0, -signal.SIGKILL)
        assert out.exists() == (process.returncode == 0)
    if not out.exists():
        subprocess.run(command, check=True)
    assert contents(out) == whole
    assert [path.name for path in out.parent.iterdir()] == ["r"]


def test_killed_when_the_release_is_there(snapshot, tmp_path, whole, monkeypatch):
    """While finished batches are removed: the same command is told of the release, and removes them."""

    def killed(folder, ignore_errors=False):
        if (tmp_path / "r").exists() and folder.exists():
            raise SystemExit  # as a kill would: nothing is removed any more
        remove(folder, ignore_errors=ignore_errors)

    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(SystemExit):
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
    monkeypatch.setattr(shutil, "rmtree", remove)
    assert len(list(tmp_path.iterdir())) > 1
    with pytest.raises(UserError, match="exists already"):
        mpclean.build(source=snapshot, out=tmp_path / "r", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    assert contents(tmp_path / "r") == whole


def test_a_batch_that_is_wrong_is_not_kept(tmp_path):
    """All that is wrong with it is told, by the place of the record in the source."""
    files = unfinished.BatchFiles(tmp_path / "bonded")
    rows = [{"position": 7, "reason": "no cell"}, {"position": 8}, {"position": 9, "band_gap": -1.0}]
    with pytest.raises(UserError) as caught:
        files.write(3, pa.RecordBatch.from_pylist(rows, BONDED))
    told = str(caught.value)
    assert told.startswith("batch 3 of bonded records: breaks the schema in ")
    assert "; lattice: null (2 records, first 8); " in told
    assert told.endswith("; band_gap: no finite number in [0, 50] eV (1 records, first 9: -1.0)")
    assert 3 not in files
    assert list((tmp_path / "bonded").iterdir()) == []
    files.write(3, pa.RecordBatch.from_pylist(rows[:1], BONDED))
    assert 3 in files
