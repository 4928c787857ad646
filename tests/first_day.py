"""A stranger's first day, in fresh environments: `python tests/first_day.py [FOLDER]`.

Installs what is here from nothing, as the README says, once plain and once with the extras of the guides,
runs every command that README and guides show, and compares what they print. Says how many packages and
megabytes each install has and what it took, as JSON on the last line. Environments and all that the
commands write lie in FOLDER, which stays, or in a temporary one. It needs the package index and some
minutes; `make test` runs the same pages in its own environment (`test_shown.py`).
"""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

TOOL = runpy.run_path(str(Path(__file__).with_name("sessions.py")))
ROOT: Path = TOOL["ROOT"]
UNITS = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}

# What `pip install` is given, one environment after the other; torch by itself first, as in the Makefile.
PLAIN = (["."],)
DEMO = (["torch==2.13.0"], [".[ecn]"])
GUIDES = ([".[ecn,ase,hub,report]"],)
# Commands of a plain install, and what each prints.
PLAIN_STEPS = (
    ("mpclean build --version demo --limit 300 --out releases/small", "...\nreleases/small\n"),
    ("mpclean verify releases/small", "...intact...\n"),
    ("ecn fit releases/small", "...pip install 'mpclean[ecn]'...\n"),
    ("python -c 'import ecn; ecn.load(\"formation-energy\")'", "...pip install 'mpclean[ecn]'...\n"),
)


def install(folder: Path, requests: tuple[list[str], ...]) -> dict[str, float]:
    """Install into the environment of a folder; return its packages, megabytes and seconds."""
    start = time.perf_counter()
    if not (folder / "bin").is_dir():
        venv.create(folder, with_pip=True)
    downloaded = 0.0
    for request in requests:
        command = [folder / "bin" / "pip", "install", "-c", ROOT / "constraints.txt", *request]
        if request[0].startswith("torch"):  # without constraints: a build of one's own is taken
            command = [folder / "bin" / "pip", "install", *request]
        said = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout
        found = re.findall(r"(?:Downloading|Using cached) \S+ \(([\d.]+) (\w+)\)", said)
        downloaded += sum(float(number) * UNITS[unit] for number, unit in found)
        local = re.findall(r"Processing (/\S+\.whl)", said)  # of an index that is a folder
        downloaded += sum(Path(wheel).stat().st_size for wheel in local)
    seconds = time.perf_counter() - start
    listed = subprocess.run(
        [folder / "bin" / "pip", "list", "--format", "json"], check=True, text=True, stdout=subprocess.PIPE
    ).stdout
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {
        "packages": len(json.loads(listed)),
        "megabytes": round(size / 1e6),
        "megabytes_of_wheels": round(downloaded / 1e6),
        "seconds": round(seconds),
    }


def walk(steps: list, folder: Path, binaries: Path) -> tuple[int, float]:
    """Run steps and print what differs; return how many did, and the seconds of all."""
    start, failed = time.perf_counter(), 0
    for step in steps:
        found = TOOL["run"](step, folder, TOOL["environment"](binaries))
        print("differs" if found else "as shown", f"$ {step.command.splitlines()[0]}", flush=True)
        if found:
            print(found)
            failed += 1
    return failed, time.perf_counter() - start


def day(folder: Path) -> int:
    """Install, run, compare in a folder; return how many commands print something else than a page shows."""
    plain, full, desk = folder / "plain", folder / "full", folder / "day"
    desk.mkdir()
    measured: dict[str, dict[str, float]] = {"mpclean": install(plain, PLAIN)}
    failures, seconds = walk([TOOL["Step"](*step) for step in PLAIN_STEPS], desk, plain / "bin")
    measured["mpclean"]["seconds_of_commands"] = round(seconds)
    measured["demo"] = install(full, DEMO)
    measured["guides"] = install(full, GUIDES)
    for page in TOOL["PAGES"]:
        failed, seconds = walk(list(TOOL["steps"](page)), desk, full / "bin")
        measured[page.name] = {"seconds_of_commands": round(seconds)}
        failures += failed
    print(json.dumps({"python": sys.version.split()[0], "failures": failures} | measured))
    return failures


def main() -> int:
    """Take a folder, or a temporary one; the exit status is 1 where a page shows what is not so."""
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1]).resolve()
        folder.mkdir(parents=True)
        return int(day(folder) > 0)
    with tempfile.TemporaryDirectory() as name:
        return int(day(Path(name).resolve()) > 0)


if __name__ == "__main__":
    sys.exit(main())
