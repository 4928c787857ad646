"""From what a user asks for to trainings: defaults that follow from the data, single runs, ensembles."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ecn.data.rows import find_rows, open_release
from ecn.runs import checkpoint
from ecn.runs.checkpoint import WEIGHTS
from ecn.runs.ensemble import ENSEMBLE, is_ensemble, load_plan, member_folders, save_ensemble
from ecn.runs.locate import locate
from ecn.targets.goal import Goal
from ecn.training.devices import say
from ecn.training.folds import FEW_ROWS, FOLDS
from ecn.training.logs import read_metrics
from ecn.training.presets import PRESETS, Preset, changed, from_yaml, training_settings
from ecn.training.run import Fitted, Plan, fit, resume
from ecn.training.state import STATE
from mpclean.errors import UserError, closest
from mpclean.release import Release
from mpclean.release.layout import MANIFEST

#: Up to so many training rows the preset `best` takes less than an hour on one core, and `fast` above.
_ROWS_OF_BEST = 30_000

#: Factor on the preset's learning rate where a training starts from trained weights, which larger steps would
#: forget. Not tuned; what such a start is worth is in benchmarks/RESULTS.md.
_RATE_FROM = 0.3


@dataclass(frozen=True)
class Machine:
    """Where a training runs and what it writes, none of which changes what is learned."""

    device: str = "auto"
    """As for `ecn.training.run.fit`."""
    threads: int = 1
    """CPU threads of torch."""
    loggers: Sequence[str] = ()
    """Of `ecn.training.presets.LOGGERS`."""


def new_run(release: Path, target: str) -> Path:
    """Choose a folder under ``runs/`` that does not exist yet: release, target and a number.

    Parameters
    ----------
    release
        Folder of the release.
    target
        Name of the target, or of several.
    """
    name = target.replace(",", "+")
    numbers = (Path("runs") / f"{release.resolve().name}-{name}-{k}" for k in itertools.count(1))
    return next(path for path in numbers if not path.exists())


def start_fit(
    release: Path,
    out: Path | None,
    *,
    target: str,
    model: str | None,
    preset: str | None,
    config: Path | None,
    settings: Mapping[str, Any],
    seed: int,
    split: str | None,
    limit: int | None,
    time_limit: float | None,
    start: str | None,
    folds: int | None,
    machine: Machine,
) -> tuple[Path, Fitted]:
    """Train a run, or an ensemble of them, with defaults that follow from the release; see `ecn.fit`.

    Parameters
    ----------
    release
        Folder of the release.
    out
        Folder to make; a new one under ``runs/`` by default.
    target, seed, split, limit, time_limit, start
        As for `ecn.training.run.Plan`.
    model
        As for `ecn.training.run.Plan`; by default ``ecn``, or that of `start`.
    preset
        Name of a preset; by default what trains in minutes to an hour on one core.
    config
        File of settings instead of a preset.
    settings
        Settings of the training, and options of the model, by their names.
    folds
        Members of an ensemble over folds of the rows, 1 for a single run; by default an ensemble of `FOLDS`
        where there are fewer than `FEW_ROWS` labelled rows.
    machine
        Where it runs.

    Returns
    -------
    The folder, and how it ended.

    Raises
    ------
    UserError
        If anything that was asked for cannot be had.
    """
    if preset is not None and config is not None:
        raise UserError(f"--preset {preset} and --config {config} are both settings to start from; give one")
    if preset is not None and preset not in PRESETS:
        raise UserError(closest("preset", preset, PRESETS))
    if release.exists() and not (release / MANIFEST).exists():
        raise UserError(
            f"{release}: not a release, it has no {MANIFEST}; build one first: "
            f"mpclean build --source {release} --out releases/{release.resolve().name.partition('.')[0]}"
        )
    opened = open_release(release)
    n_train, n_rows = _count(opened, target, split, limit)
    name = preset or (config.stem if config else "best" if n_train <= _ROWS_OF_BEST else "fast")
    base = from_yaml(config) if config else PRESETS[name]
    if model is None:
        model = "ecn" if start is None else _model_of(start)
    if start is not None and preset is None and config is None:
        base = replace(base, learning_rate=base.learning_rate * _RATE_FROM)
    training, options = split_settings(base, settings)
    plan = Plan(
        target=target,
        model=model,
        options=options,
        preset_name=name,
        preset=training,
        seed=seed,
        split=split,
        limit=limit,
        time_limit=time_limit,
        start=start,
    )
    run = out or new_run(release, target)
    few = n_rows < FEW_ROWS and preset is None and config is None and limit is None
    if folds is None:
        folds = FOLDS if few and not _distributed() else 1
        if folds > 1:
            say(
                f"{n_rows} labelled crystals: an ensemble of {folds}, each validated on another fold; a "
                "single model with --folds 1"
            )
    if folds == 1:
        return run, fit(release, run, plan, **vars(machine))
    return run, _fit_ensemble(release, run, plan, folds, machine)


def split_settings(preset: Preset, settings: Mapping[str, Any]) -> tuple[Preset, dict[str, Any]]:
    """Part settings, by their names, into those of the training and options of the model."""
    known = training_settings(preset)
    of_training = {name: value for name, value in settings.items() if name in known}
    of_model = {name: value for name, value in settings.items() if name not in known}
    return changed(preset, "--set", **of_training), of_model


def resume_fit(run: Path, machine: Machine, *, release: Path | None, max_edges: int | None) -> Fitted:
    """Resume a run that was stopped or killed, or those members of an ensemble that are not finished.

    Raises
    ------
    UserError
        As of `ecn.training.run.resume`, or if no member is left to train.
    """
    if not is_ensemble(run):
        return resume(run, release=release, max_edges=max_edges, **vars(machine))
    folders, asked = member_folders(run), load_plan(run)
    if all(map(_is_finished, folders)):
        raise UserError(f"{run}: its training is over; there is nothing to resume")
    try:
        path = release or Path(asked.pop("release"))
        plan = Plan(**{**asked, "preset": Preset(**asked["preset"])})
    except (KeyError, TypeError) as error:
        raise UserError(f"{run / ENSEMBLE}: damaged ({error}); train the ensemble again") from error
    return _train_members(path, run, replace(plan, fold=None), len(folders), machine)


def _fit_ensemble(release: Path, run: Path, plan: Plan, folds: int, machine: Machine) -> Fitted:
    """Begin an ensemble; its folder goes again if the first member cannot be trained."""
    if _distributed():
        raise UserError("--folds trains on one device: run it without torchrun, or with --folds 1")
    if run.exists():
        raise UserError(f"{run}: exists already; choose another --out, remove it, or --resume it")
    new_parents = [parent for parent in run.parents if not parent.exists()]
    run.mkdir(parents=True)
    try:
        asked = {**asdict(plan), "release": str(release.resolve())}
        save_ensemble(run, [f"member-{k}" for k in range(1, folds + 1)], asked)
        return _train_members(release, run, plan, folds, machine)
    finally:
        if not any(run.glob("member-*")):  # nothing to resume: leave the disk as it was
            shutil.rmtree(run)
            for parent in new_parents:
                parent.rmdir()


def _train_members(release: Path, run: Path, plan: Plan, folds: int, machine: Machine) -> Fitted:
    """Train the members that are not finished: member k holds back fold k and has a seed of its own."""
    for fold, folder in enumerate(member_folders(run), 1):
        if _is_finished(folder):
            continue
        say(f"member {fold} of {folds}")
        if (folder / STATE).exists():
            fitted = resume(folder, release=release, **vars(machine))
        else:
            shutil.rmtree(folder, ignore_errors=True)  # killed before there was anything to resume
            member = replace(plan, fold=(fold, folds), seed=plan.seed + fold - 1)
            fitted = fit(release, folder, member, **vars(machine))
        if fitted.interrupted:
            say(f"resume with: ecn fit --resume {run}")
            return fitted
    scores = [min(epoch.validation_score for epoch in read_metrics(path)) for path in member_folders(run)]
    name = Goal.named(plan.target, open_release(release)).score_name
    say(
        f"cross-validation over {folds} folds: {name} {sum(scores) / folds:.4f} (folds from "
        f"{min(scores):.4f} to {max(scores):.4f}); every epoch was chosen on its own "
        "fold, so expect somewhat more on other crystals"
    )
    return fitted


def _is_finished(run: Path) -> bool:
    return (run / WEIGHTS).exists() and not (run / STATE).exists()


def _count(release: Release, target: str, split: str | None, limit: int | None) -> tuple[int, int]:
    """Count the labelled rows of the training part, and of training and validation part together."""
    tasks = Goal.named(target, release).tasks
    parts = [find_rows(release, part, tasks, split=split) for part in ("train", "validation")]
    n_train = min(len(parts[0]), limit or len(parts[0]))
    return n_train, n_train + len(parts[1])


def _model_of(start: str) -> str:
    return checkpoint.load_config(locate(start)).model


def _distributed() -> bool:
    return int(os.environ.get("WORLD_SIZE", 1)) > 1
