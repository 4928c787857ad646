"""A run as something to hand on: its best weights, what it was made of, its measured errors and a card."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecn.data.rows import open_release
from ecn.inference.evaluation import evaluate
from ecn.runs import checkpoint
from ecn.runs.card import card
from ecn.runs.checkpoint import CONFIG, WEIGHTS
from ecn.runs.ensemble import is_ensemble, member_folders
from mpclean.errors import UserError
from mpclean.release.atomic import move_into_place, staging_folder

EVALUATION, CARD = "evaluation.json", "README.md"

#: The files of an exported run; no others are sent to the Hub.
FILES = (CONFIG, WEIGHTS, EVALUATION, CARD)


def export(
    run: Path,
    out: Path,
    *,
    part: str = "test",
    release: Path | None = None,
    obtain: str = "",
    device: str = "cpu",
) -> None:
    """Write a run into a folder of its own, measured on a part of its split.

    Of the machine that it was trained on nothing is kept: the release goes by its name.

    Parameters
    ----------
    run
        Folder of the run.
    out
        Folder to make.
    part
        The part that the errors of the card are measured on.
    release
        Where the release of the run is now; where it was by default.
    obtain
        How a reader gets the data, Markdown.
    device
        Name of a torch device.

    Raises
    ------
    UserError
        If the run or the release cannot be used, it is not the release that was trained on, or `out`
        is there already.
    """
    if out.exists():
        raise UserError(f"{out}: exists already; remove it, or choose another folder")
    if is_ensemble(run):
        raise UserError(
            f"{run}: is an ensemble; export its members one by one, such as {member_folders(run)[0]}, and "
            "predict with all of them by --with"
        )
    saved = checkpoint.load(run)
    content = saved_evaluation(run, saved.digest) or _measure(run, part, release, obtain, device)
    config = replace(saved.config, release=replace(saved.config.release, path=saved.config.release.name))
    with staging_folder(out) as staging:
        new = staging / "run"
        new.mkdir()
        checkpoint.save_config(new, config)
        shutil.copyfile(run / WEIGHTS, new / WEIGHTS)
        (new / EVALUATION).write_text(json.dumps(content, indent=2) + "\n")
        (new / CARD).write_text(card(config, saved.epoch, content))
        move_into_place(new, out)


def saved_evaluation(run: Path, digest: str) -> dict[str, Any] | None:
    """Read the measured errors of an exported run; None of a run that was not exported.

    Parameters
    ----------
    run
        Folder of the run.
    digest
        SHA-256 of the weights, which the errors must be those of.

    Raises
    ------
    UserError
        If the file is damaged, or speaks of other weights.
    """
    path = run / EVALUATION
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        if "data" not in content:
            return None  # of a benchmark, which is about the errors only
        if content["checkpoint_hash"] == digest:
            return dict(content)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged; export the run again") from error
    raise UserError(f"{path}: belongs to other weights; export the run again")


def _measure(run: Path, part: str, release: Path | None, obtain: str, device: str) -> dict[str, Any]:
    evaluations = evaluate(run, part, release, device)
    first = evaluations[0]
    if first.difference:
        raise UserError(f"{release or run}: {first.difference}; give that one as --release")
    manifest = open_release(release or Path(checkpoint.load_config(run).release.path)).manifest
    upstream = manifest.upstream
    data = {name: getattr(upstream, name) for name in ("title", "source", "sha256", "licence", "citation")}
    return {
        "checkpoint_hash": first.checkpoint_hash,
        "synthetic": first.synthetic,
        "data": {**data, "obtain": obtain},
        "targets": [evaluation.summary() for evaluation in evaluations],
    }
