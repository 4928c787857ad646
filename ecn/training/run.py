"""A training as a run on disk: how it begins, goes on after it was stopped, and ends."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.fabric import Fabric, seed_everything
from torch import Tensor, nn

from ecn import models
from ecn.data.compatibility import require_areas
from ecn.data.rows import Rows, find_rows, open_release, split_identity
from ecn.inference.forward import OutOfMemoryError, cpu_threads, memory_of
from ecn.models.base import CrystalModel
from ecn.runs import checkpoint
from ecn.runs.locate import locate
from ecn.targets.goal import Goal
from ecn.training.coverage import measure_coverage
from ecn.training.devices import is_first, say, start_fabric, stop_signals
from ecn.training.feed import Feed, must_stream
from ecn.training.folds import FEW_ROWS, fold_rows
from ecn.training.logs import Epoch, in_words, open_loggers, write_metrics
from ecn.training.loop import Loop
from ecn.training.presets import PRESETS, Preset, changed, training_settings
from ecn.training.state import STATE, load_state, save_state
from mpclean.errors import UserError
from mpclean.pipeline.cores import usable_cores
from mpclean.release.atomic import PARTIAL

if TYPE_CHECKING:
    from mpclean.release import Release

#: Fewer training rows than this are a mistake: a deviation of labels needs two.
MIN_ROWS = 2

#: Options of a model that follow from what it is trained for.
_FOLLOWING = ("n_outputs", "per_site")

#: Entries of a run's configuration, and settings of its training, that may differ when it is resumed.
_MAY_DIFFER = ("packages", "format_version", "max_edges")


@dataclass(frozen=True)
class Fitted:
    """How a training ended."""

    best: Epoch | None
    """The epoch that was kept; None where the user ended it before the first was over."""
    interrupted: bool
    """Whether the user ended it."""


@dataclass(frozen=True)
class Plan:
    """What is trained on a release, and how: all that one run is made of but the release and its folder."""

    target: str = "formation_energy"
    """The name of a target, or of several with commas between them, as `ecn.targets.tasks.task` takes it."""
    model: str = "ecn"
    """As `ecn.models.resolve` takes it."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the model that differ from those of the preset."""
    preset_name: str = "fast"
    """Name of the settings that `preset` started from."""
    preset: Preset = PRESETS["fast"]
    """The settings."""
    seed: int = 0
    """Random seed of weights, order of the rows and dropout: equal seeds give equal runs on a CPU."""
    split: str | None = None
    """Name of the split to train on; None for the one that the release was built with."""
    limit: int | None = None
    """Train on a random subset of so many crystals; None for all."""
    time_limit: float | None = None
    """End after so many minutes of training; None for no limit."""
    start: str | None = None
    """Run or reference model whose weights the training starts from; None for random weights."""
    fold: tuple[int, int] | None = None
    """Which fold, from 1, of how many is held back for validation; None for the validation part."""


def fit(
    release: Path,
    run: Path,
    plan: Plan,
    *,
    device: str = "auto",
    threads: int = 1,
    loggers: Sequence[str] = (),
) -> Fitted:
    """Train a model on the train rows of a release and keep its best epoch.

    Parameters
    ----------
    release
        Folder of the release.
    run
        Folder to make for the run.
    plan
        What is trained, and how.
    device
        Accelerator as Fabric names it: "auto", "cpu", "cuda", "mps".
    threads
        CPU threads of torch. One is the safe choice: threads wait for one another, so a second process that
        keeps a core busy stops them all (measure it with benchmarks/threads.py).
    loggers
        Of `ecn.training.presets.LOGGERS`.

    Returns
    -------
    How it ended; the run itself is for `ecn.runs.checkpoint.load`.

    Raises
    ------
    UserError
        If the release, the target or an option cannot be used, if `run` exists, or if the loss stops being
        finite.
    """
    if is_first() and run.exists():
        raise UserError(f"{run}: exists already; choose another --out, remove it, or --resume it")
    opened = open_release(release)
    goal = Goal.named(plan.target, opened)
    start = None if plan.start is None else checkpoint.load(locate(plan.start))
    preset, model = plan.preset, plan.model
    asked = {**preset.options.get(model, {}), **plan.options}
    if start is not None:
        asked = _options_of(start, plan)
    network = _network(model, asked | _outputs(model, goal, asked), plan.seed)
    if start is not None:
        copy_weights(start.model, network)
    require_areas(opened, network)
    train, validation = _rows(opened, goal, plan.split, plan.limit, plan.seed, plan.fold)
    labels = _training_labels(release, goal, train)
    fabric = start_fabric(device, preset.precision)
    config = checkpoint.RunConfig(
        targets=goal.fitted(labels, standardise=preset.standardise).to_json(),
        model=model,
        model_options=asdict(network.config),
        preset=plan.preset_name,
        training=training_settings(preset),
        seed=plan.seed,
        limit=plan.limit,
        time_limit=plan.time_limit,
        start=None if start is None else {"name": str(plan.start), "checkpoint_hash": start.digest},
        fold=None if plan.fold is None else list(plan.fold),
        n_train=len(train),
        n_validation=len(validation),
        coverage=asdict(measure_coverage(train)),
        release=_trained_on(opened, plan.split),
        featuriser=_featuriser(opened),
    )
    with _folder(run), cpu_threads(threads):
        if is_first():
            checkpoint.save_config(run, config)
        return _train(fabric, run, config, network, train, validation, loggers)


def _options_of(start: checkpoint.Checkpoint, plan: Plan) -> dict[str, Any]:
    """Take the options of a model from the run that the training starts from.

    Raises
    ------
    UserError
        If the plan asks for another model, or for options that would change its weights' shapes.
    """
    theirs = start.config
    if plan.model != theirs.model:
        raise UserError(f"--from {plan.start}: is a {theirs.model!r} model; use --model {theirs.model}")
    for name, value in plan.options.items():
        if theirs.model_options.get(name) != value:
            raise UserError(
                f"--from {plan.start}: its model has {name} = {theirs.model_options.get(name)}, not {value}; "
                "options follow from the weights, so leave this one out"
            )
    return {name: value for name, value in theirs.model_options.items() if name not in _FOLLOWING}


def copy_weights(source: nn.Module, target: nn.Module) -> int:
    """Copy all weights whose names and shapes agree; the rest, such as outputs, stay random.

    Returns
    -------
    How many tensors were copied.
    """
    theirs, ours = source.state_dict(), target.state_dict()
    shared = {
        name: tensor for name, tensor in theirs.items() if name in ours and ours[name].shape == tensor.shape
    }
    target.load_state_dict(ours | shared)
    return len(shared)


def _rows(
    release: Release,
    goal: Goal,
    split: str | None,
    limit: int | None,
    seed: int,
    fold: Sequence[int] | None,
) -> tuple[Rows, Rows]:
    """Find the rows to train on and to validate with."""
    train = find_rows(release, "train", goal.tasks, split=split, limit=limit, seed=seed)
    validation = find_rows(release, "validation", goal.tasks, split=split)
    if fold is None:
        return train, validation
    # All members of an ensemble deal the rows out alike, whatever their own seeds.
    return fold_rows(train, validation, fold[0], fold[1], seed=0)


def resume(
    run: Path,
    *,
    device: str,
    threads: int = 1,
    release: Path | None = None,
    max_edges: int | None = None,
    loggers: Sequence[str] = (),
) -> Fitted:
    """Go on with a training that was stopped or killed, to the weights that it would have had.

    Parameters
    ----------
    run
        Folder of the run.
    device
        As for `fit`; on another device than before, numbers differ in their last digits.
    threads
        As for `fit`; numbers may differ in their last digits with another number.
    release
        Where the release is now; where it was by default.
    max_edges
        Edges in memory at a time, where those of the run's settings did not fit; gradients are then
        summed in another order, which changes their last digits.
    loggers
        As for `fit`.

    Raises
    ------
    UserError
        If it is no run, its training is over, its settings were changed, or the release is not the
        one that it was trained on.
    """
    config = checkpoint.load_config(run)
    if (run / checkpoint.WEIGHTS).exists() and not (run / STATE).exists():
        raise UserError(f"{run}: its training is over; there is nothing to resume")
    path = release or Path(config.release.path)
    opened = open_release(path)
    split = config.release.split
    for name, value in {"content_hash": opened.content_hash, **split_identity(opened, split)}.items():
        if getattr(config.release, name) != value:
            raise UserError(
                f"{path}: not the release and split that {run} was trained on ({name} differs); give that "
                "release, or train a new run"
            )
    goal = checkpoint.load_goal(run, config)
    preset = _preset(run, config)
    network = _network(config.model, config.model_options, config.seed)
    if config.start is not None and not (run / STATE).exists():
        copy_weights(_start_of(run, config.start).model, network)
    train, validation = _rows(opened, goal, split, config.limit, config.seed, config.fold)
    fabric = start_fabric(device, preset.precision)
    for left_over in run.glob(f"*{PARTIAL}") if is_first() else ():
        left_over.unlink()
    if max_edges is not None:
        config = replace(config, training=config.training | {"max_edges": max_edges})
        if is_first():
            checkpoint.save_config(run, config)
    with cpu_threads(threads):
        return _train(fabric, run, config, network, train, validation, loggers)


def _start_of(run: Path, start: dict[str, str]) -> checkpoint.Checkpoint:
    """Load the run that a training started from, and refuse one whose weights have changed since."""
    found = checkpoint.load(locate(start["name"]))
    if found.digest != start["checkpoint_hash"]:
        raise UserError(
            f"{run}: {start['name']}, which it started from, has other weights now; train a new run"
        )
    return found


def _training_labels(release: Path, goal: Goal, train: Rows) -> Tensor:
    """Collect the labels of the training rows, (R, T), and refuse too few of any target."""
    labels = torch.from_numpy(np.concatenate(train.labels))
    found = [len(train)] if goal.per_site else (~labels.isnan()).sum(0).tolist()
    for task, n in zip(goal.tasks, found, strict=True):
        if n < MIN_ROWS:
            raise UserError(
                f"{release}: {n} training rows with {task.column}, at least {MIN_ROWS} are needed; choose "
                "another --target, a larger --limit or another --split"
            )
    return labels


def _preset(run: Path, config: checkpoint.RunConfig) -> Preset:
    """Read the settings of a run."""
    return changed(PRESETS["paper"], str(run / checkpoint.CONFIG), **config.training)


def _network(model: str, options: dict[str, Any], seed: int) -> CrystalModel:
    seed_everything(seed, verbose=False)
    return models.build(model, options)


@contextmanager
def _folder(run: Path) -> Iterator[None]:
    """Make the folder of a run; it goes again, however the training ends, if it holds nothing to keep."""
    if not is_first():
        yield
        return
    try:
        run.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{run}: cannot be created ({error.strerror}); choose another --out") from error
    try:
        yield
    except BaseException as error:
        mistaken = isinstance(error, UserError) and not isinstance(error, OutOfMemoryError)
        begun = (run / STATE).exists() and load_state(run / STATE)["loop"]["progress"]["step"] > 0
        resumable = begun and not mistaken
        if not resumable and not (run / checkpoint.WEIGHTS).exists():
            shutil.rmtree(run)
        raise


def _train(
    fabric: Fabric,
    run: Path,
    config: checkpoint.RunConfig,
    network: CrystalModel,
    train: Rows,
    validation: Rows,
    loggers: Sequence[str],
) -> Fitted:
    """Train to the end from fresh weights, or from the state of the run where it has one."""
    goal = Goal.from_json(config.targets)
    preset = _preset(run, config)
    minutes = f" or {config.time_limit:g} minutes" if config.time_limit else ""
    epochs = "1 epoch" if preset.epochs == 1 else f"{preset.epochs} epochs"
    say(f"{config.model} with the settings {config.preset}: at most {epochs}{minutes}")
    for part, rows in (("train", train), ("validation", validation)):
        say(f"{part}: {len(rows):,} crystals; {rows.n_excluded:,} rows {goal.excluded} excluded")
    repeated = config.fold is not None and config.fold[0] > 1  # the first member of the ensemble said it
    if fabric.device.type == "cpu" and not repeated:
        say(f"device: cpu, {torch.get_num_threads()} of {usable_cores()} usable cores (--threads)")
    elif not repeated:
        say(f"device: {fabric.device}")
    if len(train) < FEW_ROWS and not repeated:
        say(
            f"{len(train)} training crystals are few: errors on crystals with other elements or structures "
            "can be much larger than those measured here"
        )
    settings = _settled(asdict(config))
    dtype = torch.float64 if preset.precision == "64-true" else torch.float32
    state = load_state(run / STATE) if (run / STATE).exists() else None
    if state is not None:
        _require_equal(run, _settled(state["settings"]), settings)
        streamed = state["streamed"]  # another order of the rows would be another training
    else:
        n_rows = len(train) + len(validation)
        streamed = fabric.broadcast(must_stream(train, n_rows, fabric.device, dtype, preset.data_memory))
    if streamed:
        say("the rows do not fit in memory: they are read from disk in every epoch")
    way_out = "stream the rows: --set data_memory=GIB, less than is free"
    if state is not None:
        way_out = f"resume on a machine with more memory, or train a new run and {way_out}"
    with memory_of(fabric.device, way_out):
        feeds = [
            Feed(rows, fabric.device, dtype, network.prepare, streamed=streamed)
            for rows in (train, validation)
        ]
    loop = Loop(fabric, network, goal, preset, *feeds, seed=config.seed, time_limit=config.time_limit)
    if state is not None:
        try:
            loop.load_state_dict(state["loop"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{run / STATE}: written by another version of ecn ({reason}); train a new run"
            ) from error
        say(f"{run}: resumes in epoch {loop.progress.epoch}, after {loop.progress.rows} of its crystals")

    def save() -> None:
        loop_state = loop.state_dict()  # of all devices together
        if is_first():
            save_state(run / STATE, {"settings": settings, "streamed": streamed, "loop": loop_state})

    fabric.barrier()
    if state is None:
        save()  # weights without a state are those of a training that is over
    history = loop.progress.history
    if is_first():
        write_metrics(run, history)  # a killed process may not have come to it
    opened = open_loggers(loggers, run, config, len(history)) if is_first() else []
    best = min(history, key=_score, default=None)
    with stop_signals() as stop:
        for epoch in loop.epochs(save, stop):
            better = best is None or epoch.validation_score < best.validation_score
            if better:
                best = epoch
                if is_first():
                    checkpoint.save_weights(run, loop.result, epoch.epoch, epoch.validation_score)
            save()
            if is_first():
                write_metrics(run, history)
            for logger in opened:
                logger.log(epoch)
            _report(goal, epoch, better, loop.seconds_left())
    for logger in opened:
        logger.close()
    return _end(run, goal, best, stop.asked)


def _score(epoch: Epoch) -> float:
    return epoch.validation_score


def _settled(config: dict[str, Any]) -> dict[str, Any]:
    """Keep those entries of a configuration that may not differ when a run is resumed."""
    found = {name: value for name, value in config.items() if name not in _MAY_DIFFER}
    training = {name: value for name, value in config["training"].items() if name not in _MAY_DIFFER}
    return found | {"training": training}


def _require_equal(run: Path, saved: dict[str, Any], found: dict[str, Any]) -> None:
    differing = sorted(name for name in found if saved.get(name) != found[name])
    if differing:
        raise UserError(
            f"{run / checkpoint.CONFIG}: changed since the training began ({', '.join(differing)}); "
            "restore it, or train a new run with other settings"
        )


def _report(goal: Goal, epoch: Epoch, better: bool, seconds_left: float) -> None:
    left = f"; about {in_words(seconds_left)} left" if seconds_left else ""
    say(
        f"epoch {epoch.epoch}: validation {goal.score_name} {epoch.validation_score:.4f}, "
        f"train loss {epoch.train_loss:.4g}, learning rate {epoch.learning_rate:.2g}, "
        f"{epoch.seconds:.1f} s{' (best)' if better else ''}{left}"
    )
    if len(goal.tasks) > 1:
        each = (f"{task.name} {task.score_name} {epoch.scores[task.name]:.4f}" for task in goal.tasks)
        say(f"  {', '.join(each)}")


def _end(run: Path, goal: Goal, best: Epoch | None, interrupted: bool) -> Fitted:
    """Say how a training ended; its state is kept only where there is something to resume."""
    kept = (
        f"best epoch {best.epoch}, validation {goal.score_name} {best.validation_score:.4f}" if best else ""
    )
    if interrupted:
        say(f"stopped by the user{': ' * bool(best)}{kept}; resume with: ecn fit --resume {run}")
    else:
        say(f"done: {kept}")
        if is_first():
            (run / STATE).unlink()
    return Fitted(best, interrupted)


def _outputs(model: str, goal: Goal, options: dict[str, Any]) -> dict[str, Any]:
    """Find the options of a model that follow from what it is trained for."""
    following = {"n_outputs": len(goal.tasks)}
    if "per_site" in models.options(model):
        following["per_site"] = goal.per_site
    elif goal.per_site:
        raise UserError(
            f"model {model!r} predicts crystals, not atoms, so it cannot learn {goal.name!r}; use --model ecn"
        )
    for name, value in following.items():
        if options.get(name, value) != value:
            raise UserError(
                f"{name} follows from --target {goal.name}, which sets it to {value}; leave it out"
            )
    return following


def _trained_on(release: Release, split: str | None) -> checkpoint.TrainedOn:
    manifest = release.manifest
    return checkpoint.TrainedOn(
        path=str(Path(release.path).resolve()),
        name=manifest.name,
        version=manifest.release_version,
        content_hash=release.content_hash,
        synthetic=manifest.upstream.synthetic,
        **split_identity(release, split),
    )


def _featuriser(release: Release) -> checkpoint.Featuriser:
    stated = release.manifest.parameters.as_dict()
    return checkpoint.Featuriser(
        **{f.name: stated[f.name] for f in fields(checkpoint.Featuriser) if f.name in stated}
    )
