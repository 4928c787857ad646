"""How much each split of a release leaks, level by level, and how long it takes to know.

The release is copied; the splits are put into the copy, which is then audited.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from common import save

import mpclean
from mpclean import open_release
from mpclean.crystal.similarity.levels import LEVELS
from mpclean.inspection.audit import audit
from mpclean.vocabulary.schema import PARTS

#: Beside the split that the release was built with.
STRATEGIES = ("formula", "prototype", "chemical-system")

#: The parts that are compared with train.
HELD_BACK = ("validation", "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", type=Path)
    source = parser.parse_args().release
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(source, Path(folder) / source.name))
        seconds = {}
        for strategy in STRATEGIES:
            begin = time.perf_counter()
            mpclean.split(copy, strategy)
            seconds[strategy] = time.perf_counter() - begin
        release = open_release(copy)
        begin = time.perf_counter()
        found = audit(release)
        seconds["audit"] = time.perf_counter() - begin
    own = release.manifest.split.strategy
    sizes = {own: release.manifest.splits} | {
        name: entry.splits for name, entry in release.manifest.more_splits.items()
    }
    rows = [
        [
            name,
            " / ".join(f"{sizes[name][split]:,}" for split in PARTS),
            *(
                " / ".join(f"{parts[part]['leaking'] / parts[part]['records']:.1%}" for part in HELD_BACK)
                for parts in found.leakage[name].values()
            ),
            f"{seconds[name]:.0f}" if name in seconds else "",
        ]
        for name in (own, *STRATEGIES)
    ]
    suspects = ", ".join(f"{len(check.material_ids):,} of {check.title}" for check in found.labels)
    save(
        "leakage",
        f"Leakage of the splits of {source.name}",
        ["split", "train / validation / test", *(level.title for level in LEVELS.values()), "seconds"],
        rows,
        f"Share of the records of {' / '.join(HELD_BACK)} that are alike to one of train. The audit of all "
        f"splits took {seconds['audit']:.0f} s. Suspicious labels: {suspects}.",
        seconds=seconds,
        **found.summary(),
    )


if __name__ == "__main__":
    main()
