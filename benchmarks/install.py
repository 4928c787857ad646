"""What an install takes: packages and bytes of each set of extras, and how long the commands take to help.

Run it where everything is installed, as `make test` leaves it: the packages of a set of extras are followed
through what they require, and their files are those on disk.
"""

from __future__ import annotations

import statistics
from importlib.metadata import Distribution, distribution

from common import save, timed
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: The sets, by what is done with them.
SETS = {
    "build, read and audit releases": "mpclean",
    "train and predict as well (`make demo`)": "mpclean[ecn]",
    "every check (`make test`)": "mpclean[ecn,ase,dask,hub,materials-project,report,docs,dev]",
}
ROUNDS = 5


def packages(wanted: str) -> dict[str, Distribution]:
    """Everything that a requirement brings along, itself included."""
    found: dict[str, Distribution] = {}
    waiting, seen = [Requirement(wanted)], set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, *sorted(requirement.extras)) in seen:
            continue
        seen.add((name, *sorted(requirement.extras)))
        found[name] = distribution(name)
        for text in found[name].requires or ():
            further = Requirement(text)
            extras = ("", *requirement.extras)
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(further)
    return found


def gigabytes(found: dict[str, Distribution]) -> float:
    """Size of their files, 10^9 bytes."""
    files = [file.locate() for each in found.values() for file in each.files or ()]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e9


def main() -> None:
    rows = []
    for purpose, wanted in SETS.items():
        found = packages(wanted)
        rows.append([purpose, f"`{wanted}`", len(found), f"{gigabytes(found):.2f}"])
    said = []
    for command in ("mpclean", "ecn"):
        runs = [timed([command, "--help"]) for _ in range(ROUNDS)]
        wall, cpu = (statistics.median(run[what] for run in runs) for what in ("seconds", "cpu_seconds"))
        said.append(f"`{command} --help` takes {wall:.2f} s, {cpu:.2f} s of a processor")
    save(
        "install",
        "What an install takes",
        ["to", "install", "packages", "GB"],
        rows,
        f"Files of the packages, as pip lists them, without the interpreter. {'; '.join(said)} (medians of "
        f"{ROUNDS}).",
    )


if __name__ == "__main__":
    main()
