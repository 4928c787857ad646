"""The ``ecn`` command: parse, call, print. torch is imported inside the commands."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ecn.errors import UserError
from ecn.models import MODELS
from ecn.presets import PRESETS

if TYPE_CHECKING:
    from ecn.evaluation import Evaluation

_SPLITS = ("train", "validation", "test")


class _Group(click.Group):
    """A group whose commands end in one line where the user can mend the mistake."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            click.echo(f"ecn: {error}", err=True)
            ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="mpclean")
def main() -> None:
    """Equivariant crystal networks: fit them to a release, evaluate them, predict with them."""


@main.command()
@click.argument("release", type=click.Path(path_type=Path))
@click.option(
    "--target",
    default="formation_energy",
    help="formation_energy, fermi_energy, band_gap (insulators only), magnetization, is_metal, "
    "or any numeric column of a release.",
)
@click.option("--model", default="ecn", type=click.Choice(list(MODELS)), help="Architecture.")
@click.option(
    "--group",
    metavar="G",
    help="Symmetry of an ecn's cells: S8 (the default), S8n, P1bar, a Bravais type such as cF, or lattice "
    "for each crystal's own.",
)
@click.option("--preset", default="paper", type=click.Choice(list(PRESETS)), help="Settings to start from.")
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Passes over the training rows, instead of the preset's."
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Crystals per step, instead of the preset's.")
@click.option("--seed", default=0, type=click.IntRange(0, 2**32 - 1), help="Fixes weights, order and draws.")
@click.option(
    "--symmetry-breaking/--no-symmetry-breaking",
    default=None,
    help="Whether nodes know their cells, instead of the preset's; without, 8 times less work.",
)
@click.option(
    "--set",
    "assignments",
    metavar="NAME=VALUE",
    multiple=True,
    help="Any other option of the model, as `ecn models` lists them; may be repeated.",
)
@click.option(
    "--split",
    "strategy",
    metavar="NAME",
    help="A split that `mpclean split` added to the release [default: the one that it was built with].",
)
@click.option("--limit", type=click.IntRange(min=1), help="Train on so many crystals, drawn at random.")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), help="End after so many minutes.")
@click.option("--device", default="auto", help="auto, cpu, cuda or mps.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the run [default: a new one under runs/]."
)
def fit(
    release: Path,
    target: str,
    model: str,
    group: str | None,
    preset: str,
    epochs: int | None,
    batch_size: int | None,
    seed: int,
    symmetry_breaking: bool | None,
    assignments: tuple[str, ...],
    strategy: str | None,
    limit: int | None,
    time_limit: float | None,
    device: str,
    out: Path | None,
) -> None:
    """Train a model on RELEASE; the last line of output names the run."""
    from ecn.training import fit, new_run

    settings = dataclasses.replace(PRESETS[preset], **_given(epochs=epochs, batch_size=batch_size))
    options = _given(group=group, symmetry_breaking=symmetry_breaking) | dict(map(_assignment, assignments))
    run = out or new_run(release, target)
    fitted = fit(
        release,
        run,
        target=target,
        model=model,
        options=options,
        preset_name=preset,
        preset=settings,
        seed=seed,
        device=device,
        strategy=strategy,
        limit=limit,
        time_limit=time_limit,
    )
    click.echo(run)
    if fitted.interrupted:
        sys.exit(130)  # what a shell expects after Ctrl-C, so that a script stops too


def _given(**values: Any) -> dict[str, Any]:
    """Those that the user gave."""
    return {name: value for name, value in values.items() if value is not None}


def _assignment(text: str) -> tuple[str, Any]:
    """NAME=VALUE, where the value is JSON, or else a word."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text}: no assignment; write --set NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", default="test", type=click.Choice(_SPLITS), help="Rows to predict.")
@click.option("--release", type=click.Path(path_type=Path), help="Another release than the one trained on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on the last line instead of a table.")
@click.option("--device", default="cpu", help="cpu, cuda or mps.")
def evaluate(run: Path, split: str, release: Path | None, as_json: bool, device: str) -> None:
    """Compare the predictions of RUN with the labels of a split."""
    from ecn.evaluation import evaluate, parity_figure

    evaluation = evaluate(run, split, release, device)
    click.echo(f"{evaluation.n_left_out} rows {evaluation.task.excluded} left out", err=True)
    if not evaluation.trained_on_same:
        click.echo("this is not the release that the run was trained on, or not its split", err=True)
    figure = run / f"parity-{split}.png"
    parity_figure(evaluation, figure)
    if as_json:
        click.echo(json.dumps(evaluation.summary()))
    else:
        click.echo(_table(evaluation))
        click.echo(f"figure: {figure}")


def _table(evaluation: Evaluation) -> str:
    """A small table of the metrics, with units."""
    metrics, unit = evaluation.metrics, evaluation.task.unit
    lines = [evaluation.title]
    if evaluation.task.is_classifier:
        lines.append(f"{'':16}{'precision':>10}{'recall':>10}{'F1':>10}{'crystals':>10}")
        for name, c in metrics["per_class"].items():
            lines.append(f"{name:16}{c['precision']:10.3f}{c['recall']:10.3f}{c['f1']:10.3f}{c['n']:10.0f}")
        lines.append(
            f"accuracy {metrics['accuracy']:.3f} (majority class {metrics['accuracy_majority_class']:.3f})"
        )
        lines.append(f"area under the ROC curve {metrics['auc']:.3f}")
    else:
        mae, mean = metrics["mae"], metrics["mae_mean_predictor"]
        lines.append(f"{'MAE of the model':28}{mae:10.4f} {unit}")
        lines.append(f"{'MAE of the mean predictor':28}{mean:10.4f} {unit}")
        lines.append(f"{'ratio':28}{mean / mae if mae else math.inf:10.1f}")
    return "\n".join(lines)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "form", default="csv", type=click.Choice(["csv", "json"]), help="Of the output.")
def predict(run: Path, files: tuple[Path, ...], form: str) -> None:
    """Predict the crystals in structure FILES (CIF, POSCAR, extended XYZ, ...) with RUN."""
    from ecn.predict import load
    from mpclean.crystal import read_crystals

    model = load(run)
    crystals = [(path, k, crystal) for path in files for k, crystal in enumerate(read_crystals(path))]
    predictions = model.predict([crystal for _, _, crystal in crystals])
    rows = [
        {
            "file": str(path),
            "index": k,
            "formula": prediction.formula,
            "target": model.task.name,
            "value": None if math.isnan(prediction.value) else float(f"{prediction.value:.6g}"),
            "unit": prediction.unit,
            "warning": prediction.warning,
        }
        for (path, k, _), prediction in zip(crystals, predictions, strict=True)
    ]
    for row in rows:
        if row["warning"]:
            click.echo(f"ecn: {row['file']}: {row['warning']}", err=True)
    if form == "json":
        click.echo(json.dumps(rows))
    else:
        table = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


@main.command()
@click.option(
    "--lattice",
    required=True,
    metavar="L",
    help="A Bravais type: aP to cF in space, mp, op, oc, tp, hp in the plane; or P1bar, S8.",
)
@click.option("--side", default=2, type=click.IntRange(min=1), help="Side of the supercell, in unit cells.")
@click.option("--figure", type=click.Path(path_type=Path), help="Draw it too: PNG, PDF or SVG.")
def patterns(lattice: str, side: int, figure: Path | None) -> None:
    """Show which pairs of cells share weights: the coloured matrix of a lattice."""
    from ecn.patterns import describe, draw, find_pattern

    pattern = find_pattern(lattice, side)
    if figure is not None:
        draw(pattern, figure)
    click.echo(describe(pattern))


@main.command()
def models() -> None:
    """List the models with their options, and the presets."""
    from ecn.models import describe

    click.echo("\n\n".join(map(describe, MODELS)))
    for name, preset in PRESETS.items():
        settings = {k: v for k, v in dataclasses.asdict(preset).items() if k != "options"}
        click.echo(f"\npreset {name}: " + ", ".join(f"{k} {v}" for k, v in settings.items()))
        for model, options in preset.options.items():
            click.echo(f"  {model}: " + ", ".join(f"{k} {v}" for k, v in options.items()))
