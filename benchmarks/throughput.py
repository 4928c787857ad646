"""Crystals per second of a training, and what of it is not the model's own forward and backward pass.

The trainer of `ecn fit` is run for a few epochs, with all that it does beside its steps, and timed beside
a bare loop over the same batches: gather, forward, loss, backward, AdamW. Both are timed in turn, so that
other work on the machine falls on both alike; on a CPU it is the CPU time of the process that counts, on a
GPU the wall time. Every case runs in a process of its own::

    python benchmarks/throughput.py releases/mp-records
    python benchmarks/throughput.py releases/mp-records --device cuda --limit 20000
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Name in the table -> model and options; the settings are those of the preset `paper`.
CASES = {
    "ECN S8, supercell": ("ecn", {}),
    "ECN S8, quotient": ("ecn", {"symmetry_breaking": False}),
    "CGCNN": ("cgcnn", {}),
    "MEGNet": ("megnet", {}),
}

#: Training crystals of the Materials Project in the paper.
MP_CRYSTALS = 62_919

#: Turns of trainer and bare loop.
TURNS = 3


def measure(release: Path, case: str, device: str, limit: int) -> dict[str, float]:
    import torch

    from ecn.data.rows import load_part, open_release
    from ecn.inference.forward import max_edges
    from ecn.models import build
    from ecn.targets.tasks import task
    from ecn.training.presets import PRESETS
    from ecn.training.run import Plan, fit

    name, options = CASES[case]
    preset = dataclasses.replace(PRESETS["paper"], epochs=1)
    place = torch.device(device)

    def clock() -> float:
        if place.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    data = load_part(open_release(release), "train", [task("formation_energy")], limit=limit).to(place)

    def bare() -> dict[str, float]:
        """One epoch of nothing but steps; how long they take, and the passes of the model within them."""
        torch.manual_seed(0)
        network = build(name, options).to(place)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        edges = max_edges(network, place)
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).to(place)
        of_model, began = 0.0, clock()
        for index in order.split(preset.batch_size):
            optimizer.zero_grad()
            for part in data.crystals.passes(index, edges):
                batch, labels = data.crystals.batch(part), data.labels[part, 0]
                start = clock()
                loss = torch.nn.functional.mse_loss(network(batch), labels, reduction="sum") / len(index)
                loss.backward()
                of_model += clock() - start
            optimizer.step()
        return {"seconds": clock() - began, "of_model": of_model}

    def trainer() -> dict[str, float]:
        """The same epoch by the trainer: its steps, and what comes with a run around them."""
        from ecn.training.loop import Loop

        spent = []
        train_epoch, validate = Loop._train_epoch, Loop._validate

        def timed(self, *arguments):
            began = clock()
            result = train_epoch(self, *arguments)
            spent.append(clock() - began)
            return result

        Loop._train_epoch = timed
        Loop._validate = lambda loop: {"formation_energy": 0.0}  # of rows that are not counted
        try:
            with tempfile.TemporaryDirectory() as folder:
                plan = Plan(model=name, options=options, preset_name="paper", preset=preset, limit=limit)
                fit(release, Path(folder) / "run", plan, device=place.type, loggers=["tensorboard"])
        finally:
            Loop._train_epoch, Loop._validate = train_epoch, validate
        return {"seconds": sum(spent)}

    bare()  # what is made once is made now
    turns = [(bare(), trainer()) for _ in range(TURNS)]
    loop = statistics.median(ours["seconds"] for _, ours in turns)
    steps = statistics.median(found["seconds"] for found, _ in turns)
    of_model = statistics.median(found["of_model"] for found, _ in turns)
    return {
        "crystals": len(data),
        "trainer_seconds": loop,
        "bare_seconds": steps,
        "model_seconds": of_model,
        "crystals_per_second": len(data) / loop,
        "outside_model": 1.0 - of_model / loop,
        "overhead": statistics.median(ours["seconds"] / found["seconds"] for found, ours in turns) - 1.0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--limit", type=int, default=1280, help="training crystals of the epoch")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # what a process of its own measures
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.release, options.case, options.device, options.limit)))
        return

    import torch
    from common import save

    from ecn.data.rows import load_part, open_release
    from ecn.targets.tasks import task

    began = time.perf_counter()
    release = open_release(options.release)
    verified = time.perf_counter()
    n_rows = len(load_part(release, "train", [task("formation_energy")]))
    loaded = time.perf_counter()

    found = {}
    for case in CASES:
        command = [sys.executable, __file__, str(options.release), "--device", options.device]
        done = subprocess.run(
            [*command, "--limit", str(options.limit), "--case", case],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            check=True,
        )
        found[case] = json.loads(done.stdout.splitlines()[-1])
        print(case, found[case], file=sys.stderr)
    rows = [
        [
            case,
            f"{values['crystals_per_second']:,.0f}",
            f"{values['outside_model']:.1%}",
            f"{values['overhead']:+.1%}",
            f"{MP_CRYSTALS / values['crystals_per_second'] / 60:.1f}",
        ]
        for case, values in found.items()
    ]
    cuda = options.device == "cuda"
    where = torch.cuda.get_device_name() if cuda else "one core, CPU time"
    save(
        f"throughput_{options.device}",
        f"Throughput of training ({where})",
        ["model", "crystals/s", "outside the model", "over a bare loop", f"min for {MP_CRYSTALS:,} crystals"],
        rows,
        f"An epoch of {next(iter(found.values()))['crystals']:,} crystals with the settings of the preset "
        "`paper`, float32, batches of 128. Outside the model: the share of the trainer's epoch that is not "
        "forward, loss and backward, so gathering batches, AdamW and all that the trainer adds. Over a bare "
        f"loop: the trainer's epoch beside one of the same steps and nothing else, median of {TURNS} turns. "
        f"The release {release.manifest.name} is verified byte for byte in {verified - began:.1f} s, and "
        f"its {n_rows:,} training rows become tensors in {loaded - verified:.1f} s more.",
        cases=found,
        loading={"verify_seconds": verified - began, "load_seconds": loaded - verified, "rows": n_rows},
    )


if __name__ == "__main__":
    main()
