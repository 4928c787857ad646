"""Fit a model to a release with ``ecn fit``, and measure it on its validation and test rows.

The release is one that ``mpclean build`` made; everything after ``--`` goes to ``ecn fit``::

    python benchmarks/fit.py train_perov5 releases/perov-5 -- --target heat_all --epochs 10
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from common import save, timed

from mpclean import open_release


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="name of the result")
    parser.add_argument("release", type=Path)
    parser.add_argument("options", nargs="*", help="options of ecn fit")
    options = parser.parse_args()
    manifest = open_release(options.release).manifest
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        fitted = timed(["ecn", "fit", str(options.release), "--out", str(run), *options.options])
        found = {
            split: json.loads(timed(["ecn", "evaluate", str(run), "--split", split, "--json"])["output"][-1])
            for split in ("validation", "test")
            if manifest["splits"][split]
        }
    rows = [
        [
            split,
            f"{values['n']:,}",
            f"{values['mae']:.4f}",
            f"{values['mae_mean_predictor']:.4f}",
            f"{values['mae_mean_predictor'] / values['mae']:.1f}",
            values["unit"],
        ]
        for split, values in found.items()
    ]
    target = next(iter(found.values()))["target"]
    save(
        options.name,
        f"{target} on {manifest['name']}",
        ["split", "crystals", "MAE", "MAE of the mean predictor", "ratio", "unit"],
        rows,
        f"Release {manifest['name']}, content hash `{manifest['content_hash'][:16]}`, "
        f"{manifest['splits']['train']:,} training rows; one seed; "
        f"{fitted['seconds'] / 60:.1f} minutes, {fitted['peak_memory_gib']:.1f} GiB.",
        seconds=fitted["seconds"],
        evaluations=found,
    )


if __name__ == "__main__":
    main()
