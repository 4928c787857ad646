"""Equivariant crystal networks: learn properties of crystals from clean releases.

Source: Kaba & Ravanbakhsh, *Equivariant Networks for Crystal Structures*, NeurIPS 2022
(arXiv 2211.15420).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecn.data.pyg import CrystalGraphs
    from ecn.inference.evaluation import Evaluations
    from ecn.inference.predict import Predictor
    from ecn.runs.trained import Run
    from mpclean.release import Release

__all__ = ["evaluate", "fit", "load", "pyg_dataset"]

#: Packages of the extra ``ecn``, which a plain install of mpclean does without.
_EXTRA = ("torch", "lightning", "safetensors", "torchmetrics", "torch_geometric", "psutil", "matplotlib")


@contextmanager
def needs_extra() -> Iterator[None]:
    """Turn a missing package of the extra into one clear line."""
    from mpclean.errors import UserError

    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _EXTRA:
            raise
        raise UserError(
            f"{name} is not installed; networks need the extra ecn: pip install 'mpclean[ecn]'"
        ) from error


def fit(
    release: str | Path | Release,
    target: str = "formation_energy",
    *,
    model: str | None = None,
    preset: str | None = None,
    start: str | Path | None = None,
    seed: int = 0,
    split: str | None = None,
    folds: int | None = None,
    limit: int | None = None,
    time_limit: float | None = None,
    device: str = "auto",
    threads: int = 1,
    loggers: Sequence[str] = (),
    out: str | Path | None = None,
    **settings: Any,
) -> Run:
    """Train a model on a release, as the command ``ecn fit`` does.

    torch is imported here, not before.

    Parameters
    ----------
    release
        The release, or its folder.
    target
        Name of a target such as "band_gap", of a numeric column of the release, or of several separated by
        commas.
    model
        Architecture, see ``ecn models``; by default "ecn", or that of `start`.
    preset
        "fast", "best", "paper" or "reduced"; by default what trains in minutes to an hour on one core.
    start
        Fine-tune: a run or a reference model such as "formation-energy" whose weights to start from.
    seed
        Random seed.
    split
        Name of a split of the release; the one that it was built with by default.
    folds
        Members of an ensemble over folds of the rows; by default 5 below 1,000 labelled crystals, else 1.
    limit
        Train on a random subset of so many crystals.
    time_limit
        Stop after so many minutes.
    device
        "auto", "cpu", "cuda" or "mps".
    threads
        CPU threads.
    loggers
        "tensorboard", "wandb", or none.
    out
        Folder to make for the run; a new one under ``runs/`` by default.
    settings
        Any setting that ``ecn presets`` lists, such as ``epochs=10``, or option of the model that
        ``ecn models`` lists, such as ``width=32``.

    Returns
    -------
    The run, with ``evaluate`` and ``predict``; of an interrupted training ``interrupted`` is true.

    Raises
    ------
    mpclean.errors.UserError
        If the release, the target or a setting cannot be used, or torch is not installed.

    Examples
    --------
    ::

        run = ecn.fit("releases/demo", target="formation_energy", preset="fast")
        run.evaluate(part="test")
        run.predict(structure)
    """
    with needs_extra():
        from ecn.runs.trained import Run
        from ecn.training.start import Machine, start_fit
    path, fitted = start_fit(
        _folder(release),
        None if out is None else Path(out),
        target=target,
        model=model,
        preset=preset,
        config=None,
        settings=settings,
        seed=seed,
        split=split,
        limit=limit,
        time_limit=time_limit,
        start=None if start is None else str(start),
        folds=folds,
        machine=Machine(device, threads, tuple(loggers)),
    )
    return Run(path, fitted.interrupted)


def evaluate(
    run: str | Path,
    part: str = "test",
    release: str | Path | Release | None = None,
    device: str = "cpu",
) -> Evaluations:
    """Compare the predictions of a run with the labels of a part of its split, as ``ecn evaluate`` does.

    Parameters
    ----------
    run
        As for `load`.
    part
        "train", "validation" or "test".
    release
        Another release than the one trained on.
    device
        Name of a torch device.

    Returns
    -------
    An evaluation for every target, with ``metrics`` (MAE, RMSE, R2, ... in the unit of the target),
    ``to_pandas()`` (a row for every crystal), ``worst()``, and ``groups`` (errors by element, crystal system
    and size).

    Raises
    ------
    mpclean.errors.UserError
        If the run or the release cannot be used, or torch is not installed.

    Examples
    --------
    ::

        (evaluation,) = ecn.evaluate("runs/demo-formation_energy-1")
        evaluation.metrics["mae"]
    """
    with needs_extra():
        from ecn.inference.evaluation import evaluate as evaluate_run
        from ecn.runs.locate import locate
    return evaluate_run(locate(run), part, None if release is None else _folder(release), device)


def load(run: str | Path, *more: str | Path) -> Predictor:
    """Load a trained model; ``load(run).predict(structure)`` gives numbers with units.

    torch is imported here, not before.

    Parameters
    ----------
    run
        Folder of a run of ``ecn fit``, name of a reference model such as ``formation-energy``, or
        ``ORG/NAME`` or ``ORG/NAME@REVISION`` on the Hugging Face Hub; see `ecn.runs.locate`.
    more
        Other runs for the same target: predictions are then the mean of all, with a standard deviation that
        says how far to trust them.

    Raises
    ------
    mpclean.errors.UserError
        If it is not a run, or a damaged one, the Hub cannot be asked, or torch is not installed.

    Examples
    --------
    ::

        model = ecn.load("formation-energy")
        (prediction,) = model.predict(structure)
        prediction.value, prediction.unit, prediction.warning
    """
    with needs_extra():
        from ecn.inference.predict import load as load_runs
    return load_runs(run, *more)


def pyg_dataset(
    release: str | Path | Release, part: str, target: str = "formation_energy", split: str | None = None
) -> CrystalGraphs:
    """Make a part of a release a data set of PyTorch Geometric; see `ecn.data.pyg.CrystalGraphs`.

    torch is imported here, not before.

    Parameters
    ----------
    release
        The release, or its folder.
    part
        "train", "validation" or "test".
    target
        Name of a target of ``ecn fit --target``, or several separated by commas;
        rows without a label are excluded.
    split
        Name of the split that `part` belongs to, as for ``ecn fit --split``.

    Raises
    ------
    mpclean.errors.UserError
        If there is no release, no row with that label in the part, or torch is not installed.

    Examples
    --------
    ::

        crystals = ecn.pyg_dataset("releases/demo", "train")
        for batch in torch_geometric.loader.DataLoader(crystals, batch_size=64, shuffle=True):
            loss = mse_loss(model(batch.z, batch.edge_index, batch.edge_attr, batch.batch), batch.y[:, 0])
    """
    with needs_extra():
        from ecn.data.pyg import CrystalGraphs
        from ecn.data.rows import load_part, open_release
        from ecn.targets.goal import Goal
    opened = open_release(Path(release)) if isinstance(release, str | Path) else release
    return CrystalGraphs(load_part(opened, part, Goal.named(target, opened).tasks, split=split))


def _folder(release: str | Path | Release) -> Path:
    """Give the folder of a release that may be open already."""
    return Path(release if isinstance(release, str | Path) else release.path)
