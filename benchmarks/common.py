"""What every benchmark shares: where its result goes, and what it must say of itself."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from tabulate import tabulate

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

#: Folders of `ecn benchmark`, each with a page of its own.
GRIDS = HERE / "grids"

#: The order of the sections in RESULTS.md; a benchmark that is not named here comes last.
ORDER = (
    "published_list",
    "dedup",
    "leakage",
    "paper",
    "doors",
    "stages",
    "build",
    "build_paired",
    "same_release",
    "predict",
    "install",
    "scale",
    "orbits",
    "models",
    "train",
    "throughput_cpu",
    "throughput_cuda",
    "gpu",
    "paired",
    "continuity",
    "ablation_formation_energy",
    "ablation_heat_all",
    "ablation_best",
    "finetune",
    "threads",
)


def data_folder() -> Path:
    """The real data folder: MPCLEAN_TEST_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("MPCLEAN_TEST_DATA", HERE.parent.parent / "shared" / "data"))
    if not folder.is_dir():
        sys.exit(f"the real data folder is not at {folder}; name it in MPCLEAN_TEST_DATA")
    return folder


def commit() -> str:
    """The commit that runs, marked where tracked files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(HERE), *words], capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../mpclean", "../ecn")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


#: The commit that a benchmark began with; a long one may see others.
COMMIT = commit()


def timed(command: list[str]) -> dict[str, Any]:
    """Run a command; its seconds, those of its processors, the largest memory of a process, its output."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    return {
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,  # with the processes that it started
        "peak_memory_gib": usage.ru_maxrss / 2**20,  # KiB on Linux, the process or its largest child
        "output": output.strip().splitlines(),
    }


def save(
    name: str, title: str, head: list[str], rows: list[list[Any]], notes: str = "", **values: Any
) -> None:
    """Write results/NAME.json and render RESULTS.md anew from all results.

    Parameters
    ----------
    name
        Name of the benchmark.
    title
        Heading in RESULTS.md.
    head, rows
        The table.
    notes
        What a reader must know beside it.
    values
        Everything else that was measured.
    """
    from ecn.training.hardware import hardware  # older commits, which run scripts beside this one, have none

    RESULTS.mkdir(exist_ok=True)
    result = {
        "title": title,
        "command": "python " + " ".join([f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "commit": COMMIT,
        "date": date.today().isoformat(),
        "hardware": hardware(),
        "load": round(os.getloadavg()[0], 1),  # above the number of cores, others worked beside it
        "python": platform.python_version(),
        "table": {"head": head, "rows": rows},
        "notes": notes,
        "values": values,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    render()


def _load(result: dict[str, Any]) -> str:
    """The load of the machine when a benchmark ended, where its result has it."""
    return f" (load {result['load']})" if "load" in result else ""


def render() -> None:
    """Write RESULTS.md from results/*.json and the pages of grids."""
    files = sorted(
        RESULTS.glob("*.json"), key=lambda f: (ORDER.index(f.stem) if f.stem in ORDER else len(ORDER), f.stem)
    )
    sections = [
        "# Measured\n\nWritten by the benchmarks themselves from `results/*.json`; see README.md here."
    ]
    for file in files:
        result = json.loads(file.read_text())
        table = tabulate(
            result["table"]["rows"], result["table"]["head"], tablefmt="github", disable_numparse=True
        )
        sections.append(
            f"## {result['title']}\n\n`{result['command']}`  \ncommit {result['commit']}, {result['date']}, "
            f"{result['hardware']}{_load(result)}, Python {result['python']}\n\n{table}\n\n"
            f"{result['notes']}".rstrip()
        )
    print("\n".join(sections[-1:]))
    sections += [_grid(page) for page in sorted(GRIDS.glob("*/RESULTS.md"))]
    (HERE / "RESULTS.md").write_text("\n\n".join(sections) + "\n")


def _grid(page: Path) -> str:
    """The page of a grid as a section: its headings a level lower, its links from here."""
    text = page.read_text().replace("](runs/", f"]({page.parent.relative_to(HERE)}/runs/")
    return re.sub("^#", "##", text, flags=re.MULTILINE).strip()
