"""How fast a whole build is, what memory it needs, and that it gives the same release every time."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from common import data_folder, save, timed

from mpclean import open_release


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="one build for each")
    parser.add_argument("--limit", type=int, help="read this many records only")
    options = parser.parse_args()
    rows, hashes = [], []
    stages: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, workers in enumerate(options.workers):
            out = Path(folder) / f"build-{number}" / "mp"
            command = ["mpclean", "build", "--source", str(data_folder() / "mp_records.parquet")]
            command += ["--out", str(out), "--workers", str(workers)]
            command += ["--limit", str(options.limit)] if options.limit else []
            run = timed(command)
            manifest = open_release(out).manifest
            stages = {stage["name"]: stage["left"] for stage in manifest["stages"]}
            rate = stages["records"] / run["seconds"]
            hashes.append(manifest["content_hash"])
            rows.append(
                [
                    workers,
                    f"{stages['records']:,}",
                    f"{run['seconds']:.0f}",
                    f"{rate:.1f}",
                    f"{rate / workers:.1f}",
                    f"{run['peak_memory_gib']:.2f}",
                    hashes[-1][:16],
                ]
            )
    head = ["workers", "records", "seconds", "records/s", "records/s/worker", "peak GiB", "content hash"]
    same = "the same" if len(set(hashes)) == 1 else "NOT THE SAME"
    left = ", ".join(f"{name} {count:,}" for name, count in stages.items())
    save(
        "build",
        "Whole builds of mp_records.parquet",
        head,
        rows,
        f"Content hash of all runs: {same}. Records left after each stage: {left}. "
        "Peak memory is that of the largest process of a build.",
        hashes=hashes,
        stages=stages,
    )


if __name__ == "__main__":
    main()
