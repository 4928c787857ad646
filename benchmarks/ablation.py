"""What every setting of a training is worth: `ecn fit` with one of them changed at a time.

All runs have the same rows, epochs and seed, and begin with the settings of BASE; what counts is the best
validation score, for the settings of the preset `best` are chosen by it. No test row is read::

    python benchmarks/ablation.py releases/mp-four-targets --epochs 3

One that was stopped goes on, and only what is new in CHANGES is trained.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import COMMIT, RESULTS, save, timed

from mpclean import open_release

#: What every run begins with: the preset `fast`, whose network on the quotient is the cheapest, and these.
BASE = {"loss": "huber", "huber_delta": "0.1"}

#: Name in the table -> the settings that differ from those of BASE.
CHANGES: dict[str, dict[str, str]] = {
    "none": {},
    "squared errors (the loss of the paper)": {"loss": "mse"},
    "absolute errors": {"loss": "l1"},
    "Huber from 0.3 deviations": {"huber_delta": "0.3"},
    "warm-up over 0.15 epochs, gradients clipped at 0.1": {"warmup_epochs": "0.15", "clip_norm": "0.1"},
    "average of the weights, 0.99": {"average_decay": "0.99"},
    "batches of 32: the preset best": {"batch_size": "32"},
    "40 Gaussians of 0.3 A": {"n_centres": "40", "basis_width": "0.3"},
    "all that was below none, clipped at 0.3": {
        "huber_delta": "0.3",
        "warmup_epochs": "0.15",
        "clip_norm": "0.3",
        "batch_size": "32",
        "n_centres": "40",
        "basis_width": "0.3",
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--target", default="formation_energy")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    manifest = open_release(options.release).manifest
    made = _made()
    found = {}
    for name, change in CHANGES.items():
        settings = [f"--set={key}={value}" for key, value in (BASE | change).items()]
        of_run = ["--target", options.target, "--epochs", str(options.epochs), "--preset", "fast", *settings]
        key = [manifest["content_hash"], *of_run]
        found[name] = next((run for run in made if run["key"] == key), None) or fit(options.release, key)
        print(name, found[name], file=sys.stderr)
        _save(options.target, options.epochs, manifest, found)


def fit(release: Path, key: list[str]) -> dict[str, Any]:
    """Train with the options in `key`, which begins with the hash of the release; read its scores."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        done = timed(
            ["ecn", "fit", str(release), *key[1:], "--device", "cpu", "--logger", "none", "--out", str(run)]
        )
        with (run / "metrics.csv").open(newline="") as file:
            scores = [float(row["validation_score"]) for row in csv.DictReader(file)]
    return {"key": key, "commit": COMMIT, "scores": scores, "cpu_seconds": done["cpu_seconds"]}


def _made() -> list[dict[str, Any]]:
    """The runs of an ablation that was stopped, or had fewer changes."""
    path = RESULTS / "ablation.json"
    return list(json.loads(path.read_text())["values"]["runs"].values()) if path.exists() else []


def _save(target: str, epochs: int, manifest: dict[str, Any], found: dict[str, dict[str, Any]]) -> None:
    base = min(found["none"]["scores"])
    rows = [
        [
            name,
            f"{min(run['scores']):.4f}",
            f"{min(run['scores']) / base - 1:+.1%}",
            f"{run['cpu_seconds'] / epochs:.0f}",
        ]
        for name, run in found.items()
    ]
    save(
        "ablation",
        f"What a setting is worth: {target} on {manifest['name']}",
        ["changed", "validation score", "beside none", "CPU s per epoch"],
        rows,
        f"Beside the preset `fast` with {', '.join(f'{k} {v}' for k, v in BASE.items())}; {epochs} epochs of "
        f"{manifest['splits']['train']:,} crystals, the learning rate falling to zero over them, one seed: "
        "a few per cent are within its spread. The score is an MAE in the unit of the target. "
        f"Release {manifest['name']}, content hash `{manifest['content_hash'][:16]}`; CPU time has the start "
        "of the process and the validation in it. No test row was read. Trained at "
        f"{', '.join(dict.fromkeys(run['commit'] for run in found.values()))}, on a busy machine.",
        runs=found,
    )


if __name__ == "__main__":
    main()
