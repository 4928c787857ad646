"""What only a GPU can show, within nine minutes of one.

Step times of every model in single precision and with bfloat16 where it does no harm, the dense definition
beside the closed form, an epoch of the paper's training, a training of the preset `best` on Perov-5, and the
start of a distributed training with one device. What no time is left for is said to be missing::

    python benchmarks/gpu.py releases/mp-four-targets releases/perov-5
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from train import CASES, geometric, make_dense

#: Training crystals of the Materials Project in the paper.
MP_CRYSTALS = 62_919

#: Crystals of a step; of the dense definition, whose edges have a slot for every cell, fewer.
BATCH, DENSE_BATCH = 128, 8

#: Steps that are timed, after two that load the code.
STEPS = 5

#: Seconds that step times may take together, and each of the trainings on Perov-5 at least.
STEP_SECONDS, LEAST_SECONDS = 150, 30


def step_time(release: Path, case: str, device: str, precision: str, n_crystals: int) -> dict[str, Any]:
    """Median seconds of a training step, and the largest memory of the device where it counts it."""
    import torch

    from ecn.data.pyg import CrystalGraphs
    from ecn.data.rows import load_part, open_release
    from ecn.models import build
    from ecn.targets.tasks import task

    torch.manual_seed(0)
    place = torch.device(device)
    data = load_part(open_release(release), "train", [task("formation_energy")], limit=n_crystals)
    index = torch.arange(len(data), device=place)
    if CASES[case] is None:
        from torch_geometric.data import Batch

        network, predict = geometric(case)
        graphs = CrystalGraphs(data)
        held = [graphs[k] for k in range(len(data))]

        def outputs() -> torch.Tensor:
            return predict(Batch.from_data_list(held).to(place))

    else:
        name, options = CASES[case]
        network = build(name, options)
        if "dense" in case:
            make_dense(network)
        crystals = network.prepare(data.crystals).to(place)

        def outputs() -> torch.Tensor:
            return network(crystals.batch(index))

    network.to(place)
    labels = data.labels[:, 0].to(place)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    half = precision == "bf16-mixed"

    def wait() -> float:
        if place.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def step() -> float:
        began = wait()
        optimizer.zero_grad()
        with torch.autocast(place.type, torch.bfloat16) if half else contextlib.nullcontext():
            output = outputs()
        (output.float() - labels).square().mean().backward()
        optimizer.step()
        return wait() - began

    for _ in range(2):
        step()
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = statistics.median(step() for _ in range(STEPS))
    peak = torch.cuda.max_memory_allocated() / 2**30 if place.type == "cuda" else None
    return {"seconds": seconds, "crystals": len(data), "peak_memory_gib": peak}


def fit(folder: Path, *options: str, torchrun: bool = False) -> list[dict[str, str]]:
    """Train as `ecn fit` does, and return the rows of metrics.csv."""
    arguments = ["fit", *options, "--logger", "none", "--out", str(folder)]
    if torchrun:
        start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1", "--no-python"]
        command = [*start, str(Path(sys.executable).parent / "ecn"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    else:
        from ecn.cli import main as ecn

        ecn(arguments, standalone_mode=False)  # in this process, which has loaded torch
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def measure(
    release: Path,
    perov5: Path,
    device: str,
    minutes: float,
    *,
    target: str = "heat_all",
    batch: int = BATCH,
    limit: int | None = None,
) -> dict[str, Any]:
    """Measure everything, part by part, until the time is up.

    Parameters
    ----------
    release, perov5
        Of the Materials Project, and Perov-5.
    device
        cuda, or cpu to try the script.
    minutes
        For all parts together.
    target
        Of Perov-5.
    batch
        Crystals of a step.
    limit
        Crystals that are trained on, in two epochs, to try the script; all if None.

    Returns
    -------
    For every part what was found; a part for which no time was left is None.
    """
    began = time.monotonic()

    def remaining() -> float:
        return 60.0 * minutes - (time.monotonic() - began)

    steps: dict[str, Any] = {}
    for case in CASES:
        crystals = min(batch, DENSE_BATCH) if "dense" in case else batch
        for precision in ("32-true", "bf16-mixed"):
            over = time.monotonic() - began > min(STEP_SECONDS, 60.0 * minutes)
            steps[f"{case}, {precision}"] = (
                None if over else step_time(release, case, device, precision, crystals)
            )
    few = [] if limit is None else ["--limit", str(limit)]
    on = ["--device", device]
    found: dict[str, Any] = {"steps": steps, "epoch": None, "perov5": None, "distributed": None}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if remaining() > 0:
            short = [str(release), "--preset", "fast", "--epochs", "1", "--limit", str(limit or 512), *on]
            alone, one = fit(folder / "alone", *short), fit(folder / "ddp", *short, torchrun=True)
            found["distributed"] = [rows[-1]["train_loss"] for rows in (alone, one)]
        if remaining() > 0:
            # Two: the first epoch of a process loads the code.
            rows = fit(folder / "paper", str(release), "--preset", "paper", "--epochs", "2", *few, *on)
            n_train = json.loads((folder / "paper" / "config.json").read_text())["n_train"]
            found["epoch"] = {"seconds": float(rows[-1]["seconds"]), "crystals": n_train}
        if (seconds := remaining()) > LEAST_SECONDS:
            allowed = ["--time-limit", f"{seconds / 60.0:.3f}"] if limit is None else ["--epochs", "2"]
            best = [str(perov5), "--target", target, "--preset", "best", "--set", "envelope=5.0"]
            began_fit = time.monotonic()
            rows = fit(folder / "perov5", *best, *allowed, *few, *on)
            seconds = time.monotonic() - began_fit
            score = min(float(row["validation_score"]) for row in rows)
            found["perov5"] = {"validation_mae": score, "epochs": len(rows), "seconds": seconds}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("perov5", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0)
    options = parser.parse_args()

    import torch
    from common import save

    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device is here; --device cpu tries the script, slowly")
    found = measure(options.release, options.perov5, options.device, options.minutes)
    rows = []
    for case in CASES:
        single, half = (found["steps"][f"{case}, {precision}"] for precision in ("32-true", "bf16-mixed"))
        times = [f"{1000 * one['seconds'] / one['crystals']:.3f}" if one else "" for one in (single, half)]
        memory = f"{single['peak_memory_gib']:.2f}" if single and single["peak_memory_gib"] else ""
        rows.append([case, str(single["crystals"]) if single else "", *times, memory])
    lines = []
    if epoch := found["epoch"]:
        whole = epoch["seconds"] * MP_CRYSTALS / epoch["crystals"]
        lines.append(
            f"An epoch of the preset `paper`, {epoch['crystals']:,} crystals: {epoch['seconds']:.1f} s; for "
            f"the {MP_CRYSTALS:,} of the paper {whole:.0f} s at this rate."
        )
    if trained := found["perov5"]:
        lines.append(
            f"`best` on Perov-5 with an envelope of 5 A: validation MAE {trained['validation_mae']:.4f} eV "
            f"per cell after {trained['epochs']} epochs in {trained['seconds']:.0f} s."
        )
    if pair := found["distributed"]:
        lines.append(
            f"Training loss of an epoch alone and under torchrun with one device: {pair[0]}, {pair[1]}."
        )
    missing = [name for name, value in found.items() if value is None]
    if missing:
        lines.append(f"No time was left for: {', '.join(missing)}.")
    save(
        "gpu" if options.device == "cuda" else f"gpu_on_{options.device}",
        f"On a GPU ({torch.cuda.get_device_name() if options.device == 'cuda' else options.device})",
        ["model", "crystals", "ms/crystal, float32", "ms/crystal, bfloat16 mixed", "GiB, float32"],
        rows,
        f"A training step (batch, forward, backward, AdamW), median of {STEPS}, default options.\n\n"
        + "\n".join(f"- {line}" for line in lines),
        **found,
    )


if __name__ == "__main__":
    main()
