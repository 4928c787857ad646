"""A grid of trainings, models x targets x seeds, and its tables beside the published numbers.

Every cell of the grid is a run in a folder of its own, so a grid that was stopped or killed goes on: finished
runs are left alone, the one under way is resumed, the others follow.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tabulate import tabulate
from tqdm.auto import tqdm

from ecn.data.rows import open_release
from ecn.inference.evaluation import evaluate
from ecn.inference.figures import learning_curves, parity_figure
from ecn.models import check_options
from ecn.runs import checkpoint, published
from ecn.runs.card import fit_command, shown
from ecn.runs.checkpoint import WEIGHTS
from ecn.runs.export import EVALUATION
from ecn.targets.goal import Goal
from ecn.training.hardware import hardware
from ecn.training.logs import read_metrics
from ecn.training.presets import Preset, training_settings
from ecn.training.run import Plan, fit, resume
from ecn.training.state import STATE
from mpclean.errors import UserError
from mpclean.release.atomic import replace_file

GRID, RESULTS, PAGE = "grid.json", "results.json", "RESULTS.md"

#: Metrics that a card shows and a table of many models does not.
_NOT_IN_TABLES = ("RMSE", "R2", "MAE of the mean predictor", "accuracy of the majority class")


@dataclass(frozen=True)
class Grid:
    """What is trained, on what, and with which settings."""

    release: Path
    """Folder of the release."""
    models: tuple[str, ...]
    """Names of `ecn.models.MODELS`, an ``ecn`` with its group as in ``ecn:P1bar``."""
    targets: tuple[str, ...]
    """Of one model each, or of one model for several as in ``formation_energy+band_gap``."""
    seeds: tuple[int, ...]
    """Of every model and target."""
    preset_name: str
    """Name of the preset that the settings started from."""
    preset: Preset
    """The settings, with the options of the models."""
    split: str | None
    """Name of the split; None for the one that the release was built with."""
    limit: int | None
    """Train on so many rows, drawn at random; None for all."""
    time_limit: float | None
    """Minutes of a run; None for no limit."""
    device: str
    """As for `ecn.training.run.fit`."""

    def cells(self) -> Iterator[tuple[str, str, int]]:
        """Model, target and seed of every run; all models of a target and a seed come together."""
        for target in self.targets:
            for seed in self.seeds:
                for model in self.models:
                    yield model, target, seed


def run_grid(grid: Grid, out: Path) -> tuple[list[dict[str, Any]], list[str], bool]:
    """Train what is not trained yet, and measure it on the test part.

    Parameters
    ----------
    grid
        What is wanted.
    out
        Folder of the runs and the results.

    Returns
    -------
    A record of every run that ended, a line for every one that failed, and whether the user stopped it.

    Raises
    ------
    UserError
        If a model, an option of one or a target is unknown, or `out` holds a grid with other settings.
    """
    release = open_release(grid.release)
    for model in (*(name.partition(":")[0] for name in grid.models), *grid.preset.options):
        check_options(model, grid.preset.options.get(model, {}))
    for target in grid.targets:
        Goal.named(_names(target), release)
    _require_same(grid, release.content_hash, out)
    records: list[dict[str, Any]] = []
    failures: list[str] = []
    cells = list(grid.cells())
    with tqdm(cells, desc="grid", unit=" runs", disable=None) as bar:
        for model, target, seed in bar:
            run = out / "runs" / target / model.replace(":", "-") / f"seed-{seed}"
            try:
                if _train(grid, run, model, target, seed):
                    return records, failures, True
                records.append({"model": model, "target": target, "seed": seed, **_measure(run, grid, out)})
            except UserError as error:  # the other runs are none the worse for it
                failures.append(f"{model}, {target}, seed {seed}: {error}")
    return records, failures, False


def _require_same(grid: Grid, content_hash: str, out: Path) -> None:
    """Refuse a folder whose runs have other settings than those asked for."""
    wanted = {
        "content_hash": content_hash,
        "preset": grid.preset_name,
        "training": training_settings(grid.preset),
        "options": grid.preset.options,
        "split": grid.split,
        "limit": grid.limit,
        "time_limit": grid.time_limit,
    }
    path = out / GRID
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda partial: partial.write_text(json.dumps(wanted, indent=2) + "\n"))
        return
    try:
        found = json.loads(path.read_text())
        differing = [name for name, value in wanted.items() if found[name] != value]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged; choose another --out") from error
    if differing:
        raise UserError(
            f"{out}: holds a grid with other settings ({', '.join(differing)}); choose another --out"
        )


def _train(grid: Grid, run: Path, model: str, target: str, seed: int) -> bool:
    """Bring a run to its end; whether the user stopped it."""
    if (run / STATE).exists():
        return resume(run, device=grid.device, release=grid.release).interrupted
    if (run / WEIGHTS).exists():
        return False
    shutil.rmtree(run, ignore_errors=True)  # killed before there was anything to resume
    name, _, group = model.partition(":")
    plan = Plan(
        target=_names(target),
        model=name,
        options={"group": group} if group else {},
        preset_name=grid.preset_name,
        preset=grid.preset,
        seed=seed,
        split=grid.split,
        limit=grid.limit,
        time_limit=grid.time_limit,
    )
    return fit(grid.release, run, plan, device=grid.device).interrupted


def _names(target: str) -> str:
    """Targets of one model as `ecn.targets.goal.Goal.named` takes them."""
    return target.replace("+", ",")


def _measure(run: Path, grid: Grid, out: Path) -> dict[str, Any]:
    """Errors of a finished run and its figures; what was measured before is read."""
    config = checkpoint.load_config(run)
    path = run / EVALUATION
    if not path.exists():
        device = "cpu" if grid.device == "auto" else grid.device
        found = evaluate(run, "test", grid.release, device)
        for evaluation in found:
            parity_figure(evaluation, run / f"parity-{evaluation.task.name}.png")
        learning_curves(
            read_metrics(run), config.model, Goal.from_json(config.targets).score_name, run / "curves.png"
        )
        content = {"targets": [evaluation.summary() for evaluation in found]}
        replace_file(path, lambda partial: partial.write_text(json.dumps(content, indent=2) + "\n"))
    epochs = read_metrics(run)
    return {
        "run": str(run.relative_to(out)),
        "command": fit_command(config, "runs/again"),
        "epochs": len(epochs),
        "seconds": sum(epoch.seconds for epoch in epochs),
        "n_train": config.n_train,
        "git_revision": config.git_revision,
        "measured": json.loads(path.read_text())["targets"],
    }


def spread(values: Sequence[float], errors: Sequence[float | None], digits: int = 4) -> str:
    """Mean +- deviation over seeds; of a single one its value +- bootstrap, and that it is one.

    Parameters
    ----------
    values
        At least one.
    errors
        The bootstrap deviation of each, None where it is not known.
    digits
        After the point.
    """
    if len(values) == 1:
        error = "" if errors[0] is None else f" +- {errors[0]:.{digits}f}"
        return f"{values[0]:.{digits}f}{error} (one seed)"
    return f"{fmean(values):.{digits}f} +- {stdev(values):.{digits}f}"


def tables(records: Sequence[dict[str, Any]]) -> str:
    """Lay out a table for every target, Markdown: what was measured, and what was published.

    Parameters
    ----------
    records
        Of `run_grid`.
    """
    cells: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for record in records:
        of_run = {name: record[name] for name in ("seed", "epochs")}
        for measured in record["measured"]:
            found = cells.setdefault(measured["target"], {}).setdefault(record["model"], [])
            found.append(measured | of_run)
    return "\n\n".join(_table(target, by_model) for target, by_model in cells.items())


def _table(target: str, by_model: dict[str, list[dict[str, Any]]]) -> str:
    """Lay out the table of a target, from what was measured of every model with every seed."""
    first = next(iter(by_model.values()))[0]
    units = {name: unit for name, _, _, unit in shown(first) if name not in _NOT_IN_TABLES}
    is_class = "per_class" in first
    title = "published recall, printed as precision" if is_class else "published"
    head = ["model", "seeds", "epochs", *(_headed(name, unit) for name, unit in units.items()), title]
    rows = []
    for model, found in by_model.items():
        metrics = [{name: (value, error) for name, value, error, _ in shown(m)} for m in found]
        rows.append(
            [
                model,
                ", ".join(f"{m['seed']}" for m in found),
                " - ".join(f"{n}" for n in sorted({f(m["epochs"] for m in found) for f in (min, max)})),
                *(
                    spread(
                        [m[name][0] for m in metrics], [m[name][1] for m in metrics], digits=4 if unit else 3
                    )
                    for name, unit in units.items()
                ),
                _published(target, model),
            ]
        )
    without = {"accuracy": "accuracy_majority_class", "MAE": "mae_mean_predictor"}
    rows.append(
        [
            "majority class" if is_class else "mean of train",
            "",
            "",
            *(f"{first[without[name]]:.4f}" if name in without else "" for name in units),
            "",
        ]
    )
    kind = "crystals" if is_class else "labels"
    table = tabulate(rows, head, tablefmt="github", disable_numparse=True)
    return f"## {target}, test part, {first['n']:,} {kind}\n\n{table}"


def _headed(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _published(target: str, model: str) -> str:
    """Give what the paper prints of a model, in the unit of the target."""
    if target == "is_metal":
        return ", ".join(f"{name} {ratio:.3f}" for name, ratio in published.RECALL.get(model, {}).items())
    number = published.MAE.get(target, {}).get(model)
    return "" if number is None else f"{number:.3f}"


def save(
    grid: Grid, records: Sequence[dict[str, Any]], failures: Sequence[str], out: Path, command: str
) -> str:
    """Write the results as JSON and as a page; the tables.

    Parameters
    ----------
    grid
        What was wanted.
    records, failures
        Of `run_grid`.
    out
        Folder of the grid.
    command
        The command that it was.
    """
    release = open_release(grid.release)
    results: dict[str, Any] = {
        "command": command,
        "date": date.today().isoformat(),
        "hardware": f"{hardware()}, device {grid.device}",
        "git_revision": checkpoint.git_revision(),
        "release": {"name": release.manifest.name, "content_hash": release.content_hash},
        "split": grid.split,
        "n_wanted": len(list(grid.cells())),
        "failures": list(failures),
        "runs": list(records),
    }
    text = json.dumps(results, indent=2) + "\n"
    replace_file(out / RESULTS, lambda partial: partial.write_text(text))
    replace_file(out / PAGE, lambda partial: partial.write_text(page(results)))
    return tables(records)


def page(results: dict[str, Any]) -> str:
    """Write the page of a grid, Markdown, from its `RESULTS`."""
    records, release = results["runs"], results["release"]
    minutes = sum(record["seconds"] for record in records) / 60
    figures = "\n".join(
        f"- {record['model']}, {record['target']}, seed {record['seed']}: "
        + ", ".join(
            f"[{name}]({record['run']}/{file}.png)"
            for name, file in [
                *((f"parity {m['target']}", f"parity-{m['target']}") for m in record["measured"]),
                ("learning curves", "curves"),
            ]
        )
        for record in records
    )
    return f"""# {release["name"]}: {len(records)} of {results["n_wanted"]} runs

`{results["command"]}`
commit {results["git_revision"]}, {results["date"]}, {results["hardware"]}, {minutes:.1f} minutes of training

Release {release["name"]}, content hash `{release["content_hash"]}`,
split {results["split"] or "of the build"}. Values are means +- deviations over seeds; of a single seed,
+- the deviation over resampled test crystals (bootstrap). Published: Kaba & Ravanbakhsh 2022, arXiv
2211.15420, on Materials Project 2021.05 with its split, and on Perov-5; other data give other numbers.

{tables(records)}

{"".join(f"- failed: {line}{chr(10)}" for line in results["failures"])}
{figures}
"""
