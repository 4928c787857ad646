"""What every setting of a training is worth: `ecn fit` with one of them changed at a time, in equal time.

Every run has the same rows and the same minutes on one core, over which its learning rate falls to zero,
so a network that costs more sees the rows less often. What counts is the best validation score, for the
settings of the preset `best` are chosen by it; no test row is read::

    python benchmarks/ablation.py releases/mp-four-targets --minutes 2.5 --jobs 2
    python benchmarks/ablation.py releases/mp-four-targets --study best --minutes 2.5
    mpclean split releases/perov-5 --strategy learning-curve
    python benchmarks/ablation.py releases/perov-5 --study heat_all --minutes 5

One that was stopped goes on, and only what is new in STUDIES is trained.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any

from common import COMMIT, RESULTS, save

from ecn.training.hardware import hardware
from mpclean import open_release
from mpclean.release.manifest import Manifest


@dataclass(frozen=True)
class Study:
    """Settings to change one at a time."""

    begins_with: str
    """What every run begins with, in words."""
    base: list[str]
    """Options of `ecn fit` that say so."""
    changes: dict[str, list[str]]
    """Name in the table -> options of `ecn fit` beside those of the base, which they override."""
    target: str = "formation_energy"
    """What is learned."""


#: The preset `paper`, whole.
_PAPER = ["--preset=paper", "--set=n_layers=6"]

#: The group S8, in which every atom is computed: where both studies begin.
_S8 = [
    *("--preset=best", "--group=S8", "--batch-size=32", "--set=same_length=1e-6"),
    *("--set=fade_area=null", "--set=fade_length=null"),
]

#: Studies by their names: what the settings of the preset `best` come from, what held them back on Perov-5,
#: and what the preset is worth beside the one before it and its neighbours.
STUDIES = {
    "formation_energy": Study(
        "64 channels, 3 layers, 20 Gaussians and no weight decay, in the group S8",
        [*_S8, "--set=n_centres=20", "--set=basis_width=0.6", "--set=weight_decay=1e-15"],
        {
            "none": [],
            "another seed": ["--seed=1"],
            "the preset paper": _PAPER,
            "the preset paper on the quotient": [*_PAPER, "--no-symmetry-breaking"],
            "squared errors (the loss of the paper)": ["--set=loss=mse"],
            "rates of 1e-3": ["--set=learning_rate=0.001"],
            "rates up to 6e-3": ["--set=learning_rate=0.006"],
            "a rate that never falls": ["--set=schedule=plateau"],
            "batches of 64": ["--batch-size=64"],
            "average of the weights, 0.999": ["--set=average_decay=0.999"],
            "weight decay of 0.01": ["--set=weight_decay=0.01"],
            "40 Gaussians of 0.3 A": ["--set=n_centres=40", "--set=basis_width=0.3"],
            "128 channels inside the edge functions": ["--set=hidden_width=128"],
            "96 channels": ["--set=width=96"],
            "2 layers": ["--set=n_layers=2"],
            "4 layers": ["--set=n_layers=4"],
            "100 channels, 6 layers (the size of the paper)": ["--set=width=100", "--set=n_layers=6"],
            "the group P1bar": ["--group=P1bar"],
            "weight decay of 0.1": ["--set=weight_decay=0.1"],
            "weight decay of 0.01, 2 layers": ["--set=weight_decay=0.01", "--set=n_layers=2"],
            "weight decay of 0.1, 2 layers": ["--set=weight_decay=0.1", "--set=n_layers=2"],
            "weight decay of 0.01, 2 layers, 40 Gaussians of 0.3 A": [
                *("--set=weight_decay=0.01", "--set=n_layers=2"),
                *("--set=n_centres=40", "--set=basis_width=0.3"),
            ],
            # These two were trained on a slower machine than all others.
            "none, in fewer epochs": ["--seed=0"],
            "targets in their units, not standardised, in fewer epochs": ["--set=standardise=false"],
        },
    ),
    "heat_all": Study(
        "64 channels, 2 layers, 40 Gaussians of 0.3 A, weight decay of 0.01 and an envelope of 5 A, the "
        "radius of the graphs, in the group S8",
        [*_S8, "--set=n_layers=2", "--set=envelope=5.0"],
        {
            "none": [],
            "another seed": ["--seed=1"],
            "no envelope": ["--set=envelope=null"],
            "no envelope, another seed": ["--set=envelope=null", "--seed=1"],
            "no colours of cells (the group S8n)": ["--group=S8n"],
            "weight decay of 0.1": ["--set=weight_decay=0.1"],
            "half of the training rows": ["--split=learning-curve-0.5"],
            "a quarter of the training rows": ["--split=learning-curve-0.25"],
        },
        target="heat_all",
    ),
    "best": Study(
        "the preset `best`",
        ["--preset=best"],
        {
            "none": [],
            "another seed": ["--seed=1"],
            "the group S8, 2 layers, batches of 32, no fading: `best` before": [*_S8, "--set=n_layers=2"],
            "messages that do not fade": ["--set=fade_area=null", "--set=fade_length=null"],
            "96 channels": ["--set=width=96"],
            "lengths equal within 1e-6 A only": ["--set=same_length=1e-6"],
        },
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--study", default="formation_energy", choices=STUDIES)
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on one core")
    options = parser.parse_args()
    manifest = open_release(options.release).manifest
    study = STUDIES[options.study]
    made = {tuple(run["key"]): run for run in _made(options.study)}

    def of(name: str) -> dict[str, Any]:
        words = ["--target", study.target, "--time-limit", f"{options.minutes:g}"]
        key = (manifest.content_hash, *words, *study.base, *study.changes[name])
        found = made.get(key) or fit(options.release, key)
        print(name, found, file=sys.stderr)
        return found

    found: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        for name, run in zip(study.changes, pool.map(of, study.changes), strict=True):
            found[name] = run
            _save(options.study, options.minutes, manifest, found)


def fit(release: Path, key: tuple[str, ...]) -> dict[str, Any]:
    """Train with the options in `key`, which begins with the hash of the release; read its scores."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        words = [
            "ecn",
            "fit",
            str(release),
            *key[1:],
            "--device",
            "cpu",
            "--logger",
            "none",
            "--out",
            str(run),
        ]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=environ | {"OMP_NUM_THREADS": "1"})
        with (run / "metrics.csv").open(newline="") as file:
            scores = [float(row["validation_score"]) for row in csv.DictReader(file)]
    return {"key": list(key), "commit": COMMIT, "hardware": hardware(), "scores": scores}


def _made(name: str) -> list[dict[str, Any]]:
    """The runs of an ablation that was stopped, or had fewer changes."""
    path = RESULTS / f"ablation_{name}.json"
    return list(json.loads(path.read_text())["values"]["runs"].values()) if path.exists() else []


def _each(name: str, found: dict[str, dict[str, Any]]) -> str:
    """What the runs have under a name, in the order of the runs."""
    return "; ".join(dict.fromkeys(run[name] for run in found.values()))


def _save(study: str, minutes: float, manifest: Manifest, found: dict[str, dict[str, Any]]) -> None:
    base = min(next(iter(found.values()))["scores"])
    rows = [
        [
            name,
            f"{min(run['scores']):.4f}",
            f"{min(run['scores']) / base - 1:+.1%}",
            f"{len(run['scores'])}",
        ]
        for name, run in found.items()
    ]
    save(
        f"ablation_{study}",
        f"What a setting is worth, study {study}: {STUDIES[study].target} on {manifest.name}",
        ["changed", "validation score", "beside none", "epochs"],
        rows,
        f"Beside {STUDIES[study].begins_with}; {minutes:g} minutes of one core for every run, over "
        f"{manifest.splits['train']:,} crystals, the learning rate falling to zero by their end (but for "
        "plateaus, `paper` among them); one seed, so what differs by less than another seed does is nothing. "
        "The score is an MAE in the unit of the target. "
        f"Release {manifest.name}, content hash `{manifest.content_hash[:16]}`. No test row was read. "
        f"Trained at {_each('commit', found)} on {_each('hardware', found)}.",
        runs=found,
    )


if __name__ == "__main__":
    main()
