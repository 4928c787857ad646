"""Everything that a build must survive, done to it: kills, hostile records, damage, full disks, rivals.

Writes RELIABILITY.md, part by part as they end, and ends with status 1 where one thing did not go as it
must. Parts that are done alone (`--only`) take the place of what they were before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import attacks_kills
import attacks_sources
import hostile
from common import COMMIT, HERE
from tabulate import tabulate

from ecn.training.hardware import hardware
from mpclean import Release, UserError, open_release

Check = tuple[str, str, bool]  # what was done, what came of it, whether that is as it must be

_COMMAND = [sys.executable, "-c", "from mpclean.cli import main; main()"]
_ECN = [sys.executable, "-c", "from ecn.cli import main; main()"]


def build(source: Path | str, out: Path, *, as_owner: bool = False) -> subprocess.Popen[str]:
    """A build that has begun; with `as_owner` one to whom permissions apply, whoever runs this."""
    drop = (
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if as_owner and os.geteuid() == 0 else []
    )
    words = ["build", "--source", str(source), "--out", str(out), "--workers", "2"]
    return subprocess.Popen(
        [*drop, *_COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and standard error of a build."""
    _, err = process.communicate()
    return process.returncode, err.strip()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def corpus(path: Path, n: int, seed: int) -> Path:
    path.write_bytes(b"\n".join(hostile.records(n, seed)) + b"\n")
    return path


def one_line(status: int, err: str, *words: str) -> bool:
    """Whether a command ended as a user is told what to mend: in one line, and not with a traceback."""
    return status == 2 and len(err.splitlines()) == 1 and all(word in err for word in words)


# ---------------------------------------------------------------- what is done


#: The records of the builds that are compared, and how many they are.
SOURCE, N_RECORDS = "corpus.jsonl", 600


#: The embedded records: a dozen batches a pass, and seconds a build.
DEMO = "demo"


def finished(out: Path) -> dict[Path, tuple[int, int]]:
    """The batches of an unfinished build that are done; a file that is written again has another inode."""
    found = {}
    with suppress(FileNotFoundError):  # the build has come to its end meanwhile
        for path in out.parent.glob(".r.unfinished/*/*.arrow"):
            found[path] = path.stat().st_ino, path.stat().st_mtime_ns
    return found


def untouched(process: subprocess.Popen[str], out: Path, batches: dict[Path, tuple[int, int]]) -> bool:
    """Whether these batches stay the files that they are, as long as the build that goes on has them."""
    same = True
    while process.poll() is None:
        same &= not any(identity != batches.get(path, identity) for path, identity in finished(out).items())
        time.sleep(0.02)
    return same


def kills(folder: Path, n: int, seed: int) -> list[Check]:
    whole, random = folder / "timed" / "r", Random(seed)
    begin = time.perf_counter()
    assert ended(build(DEMO, whole))[0] == 0
    seconds, expected = time.perf_counter() - begin, contents(whole)
    hits = same = with_batches = went_on = n_batches = 0
    for number in range(3 * n):  # of kills that come too late another is drawn
        out = folder / f"killed-{number}" / "r"
        process, begin = build(DEMO, out), time.perf_counter()
        try:
            process.communicate(timeout=random.uniform(0.2, 1.0) * seconds)
            seconds = time.perf_counter() - begin  # it was over: other work leaves it more of the machine now
            continue
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if out.exists():  # all that was left to do was to say so
            continue
        batches = finished(out)
        again = build(DEMO, out)
        kept = untouched(again, out, batches)
        status, err = ended(again)
        hits += 1
        same += status == 0 and contents(out) == expected and list(out.parent.iterdir()) == [out]
        with_batches += bool(batches)
        went_on += bool(batches) and kept and f"going on from {len(batches)} batches" in err
        n_batches += len(batches)
        shutil.rmtree(out.parent)
        if hits == n:
            break
    records = open_release(whole).manifest.stages[0].kept
    done = f"SIGKILL at {n} random moments of a live build of {records:,} records, and the same command again"
    found = (
        f"{same} of {hits} releases byte-identical; {with_batches} had finished batches, {n_batches} in all, "
        f"and {went_on} went on from them without writing one again"
    )
    return [(done, found, same == hits == n and went_on == with_batches > 0)]


def hostile_records(folder: Path, n: int, seed: int) -> list[Check]:
    source = corpus(folder / "hostile.jsonl", n, seed)
    status, err = ended(build(source, folder / "hostile"))
    if status:
        return [(f"{n:,} mutated records", err[-500:], False)]
    release = open_release(folder / "hostile")
    ledger = release.ledger()
    kept = release.table(columns=["material_id"]).num_rows
    reasons = Counter(ledger["reason"].to_pylist())
    gave_up = sum(count for reason, count in reasons.items() if reason.startswith("the work on it"))
    found = (
        f"{kept:,} kept + {ledger.num_rows:,} in the ledger, {len(reasons)} reasons; {gave_up} ended a worker"
    )
    fine = kept + ledger.num_rows == n and not gave_up and "Traceback" not in err and not release.verify()
    return [(f"{n:,} mutated records, seed {seed}, in one build", found, fine)]


def damaged(release: Release, random: Random) -> tuple[str, str]:
    """Change one file of a release; its name, and what was done."""
    name = random.choice(sorted([*release.manifest.files, "manifest.json"]))
    path, kind = release.path / name, random.choice(("byte", "byte", "byte", "truncation", "removal"))
    content = bytearray(path.read_bytes())
    if kind == "removal":
        path.unlink()
        return name, kind
    if kind == "byte":
        content[random.randrange(len(content))] ^= random.randrange(1, 256)
    else:
        del content[random.randrange(len(content)) :]
    path.write_bytes(content)
    return name, kind


def problems(folder: Path) -> list[str]:
    try:
        return open_release(folder).verify()
    except UserError as error:
        return [str(error)]


def corruption(folder: Path, n: int, seed: int) -> list[Check]:
    whole = folder / "whole" / "r"
    release, random = open_release(whole), Random(seed)
    kinds: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for _ in range(n):
        copy = folder / "damaged"
        shutil.copytree(whole, copy)
        name, kind = damaged(Release(copy, release.manifest), random)
        found = problems(copy)
        kinds[kind] += 1
        named[kind] += len(found) == 1 and name in found[0]
        shutil.rmtree(copy)
    shutil.copytree(whole, folder / "damaged")
    next((folder / "damaged" / "data").iterdir()).write_bytes(b"nothing")
    words = ["fit", str(folder / "damaged"), "--preset", "fast", "--out", str(folder / "run")]
    fit = subprocess.run([*_ECN, *words], capture_output=True, text=True, check=False)
    fine = (
        one_line(fit.returncode, fit.stderr.strip(), "differ from the manifest")
        and not (folder / "run").exists()
    )
    counts = ", ".join(f"{named[kind]} of {count} ({kind})" for kind, count in sorted(kinds.items()))
    return [
        (f"{n:,} changes of one file of a release, each alone", f"verify names {counts}", named == kinds),
        ("ecn fit on a release that was changed", fit.stderr.strip().replace(str(folder), "..."), fine),
    ]


@contextmanager
def small_disk(folder: Path, size: str) -> Any:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def disk_full(folder: Path, n: int, seed: int) -> list[Check]:
    source, expected = folder / SOURCE, contents(folder / "whole" / "r")
    checks, disk = [], folder / "disk"
    with small_disk(disk, "350k"):
        status, err = ended(build(source, disk / "r"))
        fine = (
            one_line(status, err, "No space left on device", "the same command goes on")
            and not (disk / "r").exists()
        )
        checks.append(("a disk of 350 kB", err.replace(str(folder), "..."), fine))
        subprocess.run(["mount", "-o", "remount,size=500m", str(disk)], check=True)
        status, err = ended(build(source, disk / "r"))
        same = status == 0 and contents(disk / "r") == expected
        checks.append(("the same command with room", f"status {status}, byte-identical: {same}", same))
    return checks


def not_ours(folder: Path, n: int, seed: int) -> list[Check]:
    """Places that one may not write to or read."""
    source, checks = folder / SOURCE, []
    closed = folder / "closed"
    closed.mkdir(mode=0o555)
    status, err = ended(build(source, closed / "r", as_owner=True))
    fine = one_line(status, err, "Permission denied") and not list(closed.iterdir())
    checks.append(("a folder without permission", err.replace(str(folder), "..."), fine))
    with small_disk(folder / "read-only", "1m"):
        subprocess.run(["mount", "-o", "remount,ro", str(folder / "read-only")], check=True)
        status, err = ended(build(source, folder / "read-only" / "r"))
        fine = one_line(status, err, "Read-only file system")
        checks.append(("a read-only disk", err.replace(str(folder), "..."), fine))
    secret = folder / "secret.jsonl"
    secret.write_bytes(b"{}")
    secret.chmod(0)
    (folder / "open").mkdir()
    status, err = ended(build(secret, folder / "open" / "r", as_owner=True))
    fine = one_line(status, err, "cannot be read") and not list((folder / "open").iterdir())
    checks.append(("a source without permission", err.replace(str(folder), "..."), fine))
    return checks


def two_builds(folder: Path, n: int, seed: int) -> list[Check]:
    source, out = folder / SOURCE, folder / "two" / "r"
    first = build(source, out)
    while not (out.parent / ".r.lock").exists() and first.poll() is None:
        time.sleep(0.01)
    status, err = ended(build(source, out))
    second = one_line(status, err, "another command is writing it")
    status, _ = ended(first)
    same = status == 0 and contents(out) == contents(folder / "whole" / "r")
    found = f"the second: {err.replace(str(folder), '...')}; the first: byte-identical: {same}"
    again, said = ended(build(source, out))
    kept = one_line(again, said, "exists already") and contents(out) == contents(folder / "whole" / "r")
    return [
        ("two builds into one folder", found, second and same),
        ("a build onto a release", said.replace(str(folder), "..."), kept),
    ]


def hostile_sources(folder: Path, n: int, seed: int) -> list[Check]:
    """Files that unpack, or cost, far more than they are."""
    return [
        (
            f"{path.name}, {path.stat().st_size:,} bytes",
            f"{found.said}; {found.seconds:.1f} s of a core, {found.memory >> 20:,} MiB",
            found.within,
        )
        for path, found in attacks_sources.attacks(folder / "sources")
    ]


def writers(folder: Path, n: int, seed: int) -> Iterator[Check]:
    """Every command that writes, killed and given again."""
    (folder / "writers").mkdir()
    for found in attacks_kills.attacks(folder / "writers", n, seed):
        said = (
            f"{found.kills} kills, {found.in_time} before its end: nothing lost and nothing half-written "
            f"after {found.whole}; given again, the same as without a kill and nothing beside it "
            f"after {found.same}"
        )
        said += f"; {found.first_wrong}" if found.first_wrong else ""
        yield f"`{found.words}` ({found.seconds:.1f} s)", said, found.fine(n)


#: Crafted input and what refuses to be written to, as the tests have it: what it is, the words of pytest, and
#: how many cases there must be at least.
PROMISES: dict[str, tuple[str, int]] = {
    "crafted manifests, each refused in one line": ("tests/mpclean/release/test_manifest.py -k crafted", 60),
    "claims that the rows of a release do not bear out": ("tests/mpclean/release/test_proof.py", 10),
    "crafted runs, each refused before anything is allocated": (
        "tests/ecn/runs/test_checkpoint.py -k crafted",
        40,
    ),
    "servers that misbehave, and where the key goes": ("tests/mpclean/sources/test_network.py", 12),
    "nasty strings in every medium": ("tests/mpclean/vocabulary/test_text.py", 30),
    "places that cannot be written and full disks, mpclean": (
        "tests/mpclean/release/test_places.py",
        50,
    ),
    "places that cannot be written and full disks, ecn": ("tests/ecn/test_places.py", 50),
    "what is put in the way, and links": ("tests/mpclean/release/test_atomic.py", 15),
}


def promises(folder: Path, n: int, seed: int) -> Iterator[Check]:
    """What tests show, case by case."""
    for what, (words, least) in PROMISES.items():
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words.split()]
        run = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
        said = run.stdout.strip().splitlines()[-1].strip("= ")
        passed = re.search(r"(\d+) passed", said)
        yield (
            f"{what}: `pytest {words}`",
            said,
            run.returncode == 0 and int(passed[1] if passed else 0) >= least,
        )


#: Workers that die, here and on a Dask cluster, builds that go on, hostile records, and what is trusted.
TESTS = (
    "tests/mpclean/pipeline/test_executor.py",
    "tests/mpclean/test_cluster.py",
    "tests/mpclean/pipeline/test_resume.py",
    "tests/mpclean/test_hostile.py",
    "tests/mpclean/test_trust.py",
)


def tests(folder: Path, n: int, seed: int) -> list[Check]:
    """What is shown by tests: workers that die, here and on a Dask cluster, and what is trusted."""
    checks = []
    for path in TESTS:
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path]
        run = subprocess.run(words, cwd=HERE.parent, capture_output=True, text=True, check=False)
        checks.append(
            (f"`pytest {path}`", run.stdout.strip().splitlines()[-1].strip("= "), run.returncode == 0)
        )
    return checks


#: Every part, in order, and how often it does what it does.
PARTS: dict[str, tuple[Callable[[Path, int, int], Iterable[Check]], int]] = {
    "kills": (kills, 20),
    "writers": (writers, 20),
    "promises": (promises, 1),
    "hostile": (hostile_records, 10_000),
    "sources": (hostile_sources, 1),
    "corruption": (corruption, 1000),
    "disk-full": (disk_full, 1),
    "not-ours": (not_ours, 1),
    "two-builds": (two_builds, 1),
    "tests": (tests, 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a tenth of the kills, records and changes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        if {*options.only} - {"writers", "promises", "sources", "tests"}:  # which need no release
            source = corpus(Path(name) / SOURCE, N_RECORDS, options.seed)
            assert ended(build(source, Path(name) / "whole" / "r"))[0] == 0
        for chosen in options.only:
            part, count = PARTS[chosen]
            begin = time.perf_counter()
            rows: list[list[str]] = []
            times = max(1, count // (10 if options.quick else 1))
            for done, found, fine in part(Path(name), times, options.seed):
                rows.append([done, found.replace("|", "/"), "yes" if fine else "**NO**"])
                failed += not fine
                print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
                save(chosen, rows, (time.perf_counter() - begin) / 60)  # a part that is ended keeps its rows
    sys.exit(failed > 0)


def save(part: str, rows: list[list[str]], minutes: float) -> None:
    """Put what came of a part into reliability.json, and write RELIABILITY.md anew."""
    file = HERE / "reliability.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    told = (
        f"`{command}`, {minutes:.1f} minutes, commit {COMMIT}, {date.today()}, load {os.getloadavg()[0]:.0f}"
    )
    where = f"{hardware()}, Python {platform.python_version()}"
    results[part] = {"rows": rows, "told": told, "where": where}
    file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    render(results)


def render(results: dict[str, dict[str, Any]]) -> None:
    """Write RELIABILITY.md from what came of every part."""
    sections = [
        "# Hard to break",
        "Written by the command itself. Commands are killed, starved, robbed of their disk and fed rubbish.",
    ]
    for chosen in PARTS:
        if chosen in results:
            one = results[chosen]
            table = tabulate(
                one["rows"], ["done to it", "what came of it", "as it must be"], tablefmt="github"
            )
            sections += [f"## {chosen}", f"{one['told']}  \n{one['where']}", table]
    (HERE / "RELIABILITY.md").write_text("\n\n".join(sections) + "\n")


if __name__ == "__main__":
    main()
