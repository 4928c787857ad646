"""Every command that writes is killed at random moments and given again: nothing is lost.

A command runs in a fork of this process, which has imported all that it needs: the moments are those of its
work, and not those of its start. Before each kill the place is made anew with a release and a run in it.
"""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import orjson

HUB_SERVER = Path(__file__).resolve().parents[1] / "tests" / "mpclean" / "release" / "hub_server.py"


@dataclass(frozen=True)
class Writer:
    """A command that writes, run in a folder that holds `release` and `run`."""

    words: str
    """The command; what it makes is called `new`."""
    goes_on: str = ""
    """The command that goes on from what a kill left of `new`; the same one by default."""
    timed: bool = False
    """Whether pages and tables of `new` hold seconds, so that only weights are compared."""


#: Records that the builds read.
N_RECORDS = 120

_FIT = "ecn fit release --preset fast --epochs 3 --folds 1 --logger none --device cpu --out"
_BUILD, _FIT_RUN = "mpclean build --source docs.jsonl --workers 1 --out release", f"{_FIT} run"

WRITERS = (
    Writer("mpclean split release --strategy formula --workers 1"),
    Writer("mpclean bump release minor"),
    Writer("mpclean report release --workers 1"),
    Writer("mpclean export release --format cif --out new"),
    Writer("mpclean export release --format jsonl --out new.jsonl"),
    Writer(f"{_FIT} new", goes_on="ecn fit --resume new --device cpu --logger none"),
    Writer("ecn evaluate run --release release --table new.csv"),
    Writer("ecn predict run release --workers 1 --out new.csv"),
    Writer("ecn export run new --release release"),
    Writer("mpclean push release org/salts"),
    Writer("mpclean pull org/whole --out new"),
    Writer("mpclean build --source docs.jsonl --workers 1 --out new"),
    Writer(
        "ecn benchmark release --models ecn:P1bar --seeds 0 --preset fast --epochs 2 --device cpu --out new",
        timed=True,
    ),
)


@dataclass
class Outcome:
    """What came of the kills of one command."""

    words: str
    seconds: float
    """Of the command without a kill."""
    kills: int = 0
    in_time: int = 0
    """Kills after which there was something to go on with: the command had not come to its end."""
    whole: int = 0
    """Kills that left every file of before, and of what is made none or all."""
    same: int = 0
    """Commands given again that ended as the one that was never killed, with nothing beside it."""
    first_wrong: str = ""

    def fine(self, n: int) -> bool:
        """Whether all went as it must."""
        return self.kills == self.whole == self.same == n


class Place:
    """A folder that is made anew before each kill, and a Hub on loopback."""

    def __init__(self, folder: Path, hub: Any) -> None:
        self.folder, self.masters, self.hub = folder / "place", folder / "masters", hub
        self.said = folder / "said"
        self.masters.mkdir(parents=True)

    def anew(self) -> None:
        """Put release and run back, and on the Hub the release `org/whole` only."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.masters, self.folder)
        for name in [name for name in self.hub.repositories if "whole" not in name[1]]:
            del self.hub.repositories[name]

    def contents(self, timed: bool) -> tuple[dict[str, bytes], list[str]]:
        """What is there by its name, and the names of what commands leave for the next one."""
        found, left = {}, []
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder)
            if any(part.startswith(".") for part in name.parts) or name.suffix == ".partial":
                left.append(str(name))
            elif path.is_file():
                found[str(name)] = _comparable(path, timed and name.parts[0] == "new")
        for (_, name), repository in self.hub.repositories.items():
            for tag, commit in repository.tags.items():
                files = repository.commits[commit].items()
                found |= {f"hub:{name}@{tag}/{file}": content for file, content in files}
        return found, left

    def begin(self, words: str) -> int:
        """Run a command in a fork, a group of processes of its own."""
        if pid := os.fork():
            return pid
        status = 70
        try:
            os.setsid()
            os.chdir(self.folder)
            with self.said.open("wb") as said:
                for number in (1, 2):
                    os.dup2(said.fileno(), number)
            sys.argv = words.split()
            if sys.argv[0] == "mpclean":
                from mpclean.cli import main
            else:
                from ecn.cli import main
            main(sys.argv[1:], prog_name=sys.argv[0])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001 - a fork must never come to the code of its parent
            traceback.print_exc()
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def end(self, pid: int) -> str:
        """Wait for a command; empty if it ended well, else what it said last."""
        _, status = os.waitpid(pid, 0)
        said = self.said.read_text(errors="replace").strip()
        return "" if status == 0 else said[-300:] or f"status {status}"


def _comparable(path: Path, timed: bool) -> bytes:
    if timed and path.suffix != ".safetensors":
        return b""
    content = path.read_bytes()
    if path.suffix == ".safetensors":  # whose header names the same in any order
        size = 8 + int.from_bytes(content[:8], "little")
        return orjson.dumps(orjson.loads(content[8:size]), option=orjson.OPT_SORT_KEYS) + content[size:]
    if path.name == "metrics.csv":  # the last column is seconds
        return b"\n".join(line.rpartition(b",")[0] for line in content.splitlines())
    return content


def _wait(pid: int, seconds: float) -> bool:
    """Wait for a time; whether the command came to its end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(0.002)
    return False


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # it has no group yet
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _attack(place: Place, writer: Writer, n: int, random: Random) -> Outcome:
    place.anew()
    before, _ = place.contents(writer.timed)
    began = time.monotonic()
    if wrong := place.end(place.begin(writer.words)):
        return Outcome(writer.words, 0.0, first_wrong=wrong)
    seconds = time.monotonic() - began
    after, left = place.contents(writer.timed)
    outcome = Outcome(writer.words, seconds)
    if left:
        outcome.first_wrong = f"leaves {left[0]}"
        return outcome
    for _ in range(4 * n):  # of kills that come too late another is drawn
        place.anew()
        pid, began = place.begin(writer.words), time.monotonic()
        if _wait(pid, random.uniform(0.0, seconds)):
            place.end(pid)
            seconds = time.monotonic() - began  # other work leaves it more of the machine now
            continue
        _kill(pid)
        outcome.kills += 1
        found, _ = place.contents(writer.timed)
        if wrong := _wrong(writer, before, after, found):
            outcome.first_wrong = outcome.first_wrong or f"after a kill: {wrong}"
        else:
            outcome.whole += 1
        if found == after:  # all that was left to do was to say so
            outcome.same += 1
        else:
            outcome.in_time += 1
            words = writer.goes_on if (place.folder / "new").exists() and writer.goes_on else writer.words
            said = place.end(place.begin(words))
            found, left = place.contents(writer.timed)
            differs = [name for name in found | after if found.get(name) != after.get(name)] + left
            outcome.same += not said and not differs
            if said or differs:
                outcome.first_wrong = outcome.first_wrong or f"given again: {said or differs[0]}"
        if outcome.kills == n:
            break
    return outcome


def _wrong(writer: Writer, before: dict[str, bytes], after: dict[str, bytes], found: dict[str, bytes]) -> str:
    """Say what a kill left that is neither as before nor as after; empty if nothing."""
    grows = bool(writer.goes_on) or writer.timed  # what comes to be file by file, each of them whole
    new = {name for name in after if name not in before}
    for name in before:
        if found.get(name) not in (before[name], after.get(name)):
            return f"{name} is neither the old nor the new one"
    old = all(found.get(name) == content for name, content in before.items())
    if not old and found != after:
        return "some files are old and some are new"
    if not grows and (made := new & found.keys()) and any(found.get(name) != after[name] for name in new):
        return f"{min(made)} is there, but not all"
    return ""


def _documents() -> Iterator[bytes]:
    from mpclean.sources.demo import documents

    return (orjson.dumps(document) for document in documents() if document["case"] == "crystal")


def attacks(folder: Path, n: int, seed: int) -> Iterator[Outcome]:
    """Kill every command so often.

    Parameters
    ----------
    folder
        An empty folder to work in.
    n
        Kills of each command.
    seed
        Of the moments.
    """
    hub = runpy.run_path(str(HUB_SERVER))["Hub"]()
    random = Random(seed)
    with hub.running():
        # Read by huggingface_hub when it is imported, which only the forks do.
        os.environ |= {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "hf_of_tests",
        }
        place = Place(folder, hub)
        (place.masters / "docs.jsonl").write_bytes(b"\n".join(islice(_documents(), N_RECORDS)) + b"\n")
        _import(folder / "warm")
        for words in (_BUILD, _FIT_RUN, "mpclean push release org/whole"):
            place.anew()
            if wrong := place.end(place.begin(words)):
                raise RuntimeError(f"{words}: {wrong}")
            shutil.rmtree(place.masters)
            place.folder.rename(place.masters)
        for writer in WRITERS:
            yield _attack(place, writer, n, random)


def _import(folder: Path) -> None:
    """Import what the commands need, once for all forks; torch computes nothing before a fork."""
    import huggingface_hub  # noqa: F401
    import matplotlib.backends.backend_agg  # noqa: F401

    import ecn.cli
    import ecn.inference.figures
    import ecn.inference.inputs
    import ecn.runs.benchmark
    import ecn.runs.export
    import ecn.training.start  # noqa: F401
    import mpclean.inspection.report
    from mpclean.cli import main

    # The sections of a report are written in one way, and to make them all takes minutes of kills.
    mpclean.inspection.report.SECTIONS = mpclean.inspection.report.SECTIONS[:1]
    out = ["--out", str(folder)]
    with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
        source = str(folder.parent / "masters" / "docs.jsonl")
        main(["build", "--source", source, "--workers", "1", *out], standalone_mode=False)
        export = ["export", str(folder), "--format", "cif", "--out", str(folder.with_name("warm-cif"))]
        main(export, standalone_mode=False)
        main(["split", str(folder), "--strategy", "formula", "--workers", "1"], standalone_mode=False)
        main(["report", str(folder), "--workers", "1"], standalone_mode=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for found in attacks(Path(name), int(sys.argv[1]), 0):
            print(found, flush=True)
