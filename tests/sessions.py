"""Sessions that a page shows: fences of `console`, whose commands are run, and whose output is compared.

A line that begins with `$ ` is a command; what follows is what it prints, on either stream. `...` stands
for anything, as in doctests: numbers of a training differ between machines. Fences of `python` of a page
make one script, run after its commands.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = tuple(ROOT / name for name in ("README.md", "docs/my_crystals.md"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Step(NamedTuple):
    """A command of a page and what it prints, or a script and nothing."""

    command: str
    expected: str


def steps(page: Path) -> Iterator[Step]:
    """Read the commands of a page in their order, and then its Python as one script."""
    script = []
    for language, body in FENCE.findall(page.read_text("utf-8")):
        if language == "console":
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, _, expected = part.partition("\n")
                yield Step(command, expected)
        elif language == "python":
            script.append(body)
    if script:
        yield Step("python - <<'END'\n" + "\n".join(script) + "END", "")


def run(step: Step, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a step as a person does, and return how its output differs from the page: empty if it does not.

    The output of a script is not compared: it is to end well.
    """
    done = subprocess.run(
        ["bash", "-c", step.command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if step.command.startswith("python - "):
        return "" if done.returncode == 0 else done.stdout
    checker = doctest.OutputChecker()
    # What a line ends with is what it prints on a terminal of its width: tables are compared word by word.
    if checker.check_output(step.expected, done.stdout, LOOSE):
        return ""
    example = doctest.Example(step.command, step.expected)
    return checker.output_difference(example, done.stdout, LOOSE | doctest.REPORT_NDIFF)


def environment(binaries: Path = Path(sys.executable).parent) -> dict[str, str]:
    """Give the variables under which a page is run: no network, one thread, 100 columns."""
    return os.environ | {
        "PATH": os.pathsep.join([str(binaries), os.environ["PATH"]]),
        "COLUMNS": "100",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
    }
