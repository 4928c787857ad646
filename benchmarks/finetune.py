"""What a trained start is worth: a band gap learned from few crystals, from random weights and from a model.

The crystals are records of mp_records.parquet that the reference model formation-energy has not seen, with
short structure entries (small cells), and the label is another one than that model learned. Every pair of
trainings takes the same crystals, random seed, epochs and architecture::

    python benchmarks/finetune.py FOLDER
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from common import data_folder, save
from numpy.random import default_rng

#: The reference model, which is both where the trainings start and what the records are kept apart from.
START = "formation-energy"

SIZES = (100, 300, 1000)

#: Records to draw: less than half have a band gap above zero, as the target needs.
N_RECORDS = 5000

#: Characters of a structure entry: about a dozen atoms.
MAX_STRUCTURE = 2500

#: Shares of the records for validation and test; the rest is drawn from for training.
VALIDATION, TEST = 0.08, 0.25


def records(folder: Path) -> tuple[Path, Path]:
    """Write the records and their split."""
    columns = ["material_id", "structure", "band_gap", "formation_energy_per_atom"]
    seen = ds.field("efermi").is_valid()  # all records of mp-four-targets state their Fermi energy, no others
    table = ds.dataset(data_folder() / "mp_records.parquet").to_table(columns, ~seen)
    table = table.filter(pc.less(pc.binary_length(table["structure"]), MAX_STRUCTURE))
    table = table.take(pa.array(default_rng(0).choice(len(table), N_RECORDS, replace=False)))
    n_test, n_validation = round(TEST * len(table)), round(VALIDATION * len(table))
    parts = ["test"] * n_test + ["validation"] * n_validation
    parts += ["train"] * (len(table) - len(parts))
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "records.parquet")
    pq.write_table(pa.table({"material_id": table["material_id"], "split": parts}), folder / "split.parquet")
    return folder / "records.parquet", folder / "split.parquet"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder for the records, the release and the runs")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    import ecn
    import mpclean

    release = options.folder / "release"
    if not release.exists():
        source, split = records(options.folder)
        mpclean.build(source=source, split=split, out=release)
    rows = []
    for n in options.sizes:
        for start in (None, START):
            errors = []
            for seed in range(options.seeds):
                out = options.folder / f"{n}-{start or 'random'}-{seed}"
                if not out.exists():  # of an earlier call that was stopped
                    ecn.fit(
                        release, "band_gap", start=start, limit=n, seed=seed, folds=1, device="cpu", out=out,
                        model="ecn", epochs=options.epochs,
                    )  # fmt: skip
                (evaluation,) = ecn.evaluate(out)
                errors.append(evaluation.metrics["mae"])
                mean = evaluation.metrics["mae_mean_predictor"]
            spread = statistics.stdev(errors) if len(errors) > 1 else 0.0
            rows.append(
                [
                    f"{n:,}", start or "random weights", f"{statistics.fmean(errors):.3f} +- {spread:.3f}",
                    f"{mean:.3f}",
                ]
            )  # fmt: skip
            print(rows[-1], flush=True)
    save(
        "finetune",
        "What a trained start is worth: band gaps from few crystals",
        ["training crystals", "start", "test MAE (eV)", "mean predictor (eV)"],
        rows,
        f"Insulators among {N_RECORDS:,} records that the reference model {START} has not seen, with "
        f"structure entries below {MAX_STRUCTURE:,} characters; {len(evaluation.label):,} of them for the "
        f"test. The preset `best` with {options.epochs} epochs; with a trained start its learning rate times "
        "0.3, as `ecn fit --from` chooses. Means and standard deviations over "
        f"{options.seeds} random seeds, which also draw the training crystals.",
    )


if __name__ == "__main__":
    main()
