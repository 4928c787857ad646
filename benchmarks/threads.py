"""What a second CPU thread brings to a training, on a machine that is idle and on one that is not.

Threads of a step wait for one another: where another process keeps a core busy, all wait for the one that
shares it. Each case trains the same crystals for the same epochs; beside the busy ones run processes that
only count, one for each core. The first epoch is not timed::

    python benchmarks/threads.py releases/demo
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
from pathlib import Path

from common import save

EPOCHS = 4


def spin() -> None:
    """Keep a core busy."""
    while True:
        pass


def seconds_per_epoch(release: Path, threads: int, limit: int) -> float:
    """Train, and give the median seconds of the epochs after the first."""
    import ecn
    from ecn.training.logs import read_metrics

    with tempfile.TemporaryDirectory() as folder:
        run = ecn.fit(
            release, preset="fast", epochs=EPOCHS, limit=limit, threads=threads, device="cpu",
            out=Path(folder) / "run",
        )  # fmt: skip
        return statistics.median(epoch.seconds for epoch in read_metrics(run.path)[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--limit", type=int, default=1000, help="training crystals")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    n_cores = len(os.sched_getaffinity(0))
    rows = []
    for n_busy in (0, n_cores):
        busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(n_busy)]
        for process in busy:
            process.start()
        try:
            found = [seconds_per_epoch(options.release, threads, options.limit) for threads in (1, 2)]
        finally:
            for process in busy:
                process.terminate()
        rows.append([n_busy, *(f"{seconds:.2f}" for seconds in found), f"{found[0] / found[1]:.2f}"])
        print(rows[-1], flush=True)
    save(
        "threads",
        "Threads",
        ["busy processes beside", "1 thread (s per epoch)", "2 threads (s per epoch)", "gain of the second"],
        rows,
        f"{options.limit:,} crystals, the preset `fast`, median of {EPOCHS - 1} epochs. When the benchmark "
        f"began, the load of the machine was {before:.1f}: above about 0.5, the machine was not idle in the "
        "first row either.",
    )


if __name__ == "__main__":
    main()
