"""The ``ecn`` command: parse, call, print. torch is imported inside the commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ecn.models import MODELS
from ecn.training.presets import (
    LOGGERS,
    PRESETS,
    Preset,
    changed,
    from_yaml,
    to_yaml,
    training_settings,
    with_options,
)
from mpclean.errors import UserError

if TYPE_CHECKING:
    from ecn.training.run import Fitted

_PARTS = ("train", "validation", "test")

#: Warnings about one input that are shown beside the table, which has them all.
_WARNINGS = 10

_DEFAULT = click.core.ParameterSource.DEFAULT


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


#: Options of ``ecn fit`` that a resumed run may be given; all others are those it began with.
_OF_RESUMED = ("release", "resumed", "device", "loggers", "max_edges")


@main.command()
@click.argument("release", type=click.Path(path_type=Path), required=False)
@click.option(
    "--target",
    default="formation_energy",
    help="formation_energy, fermi_energy, band_gap (insulators only), magnetization, is_metal, "
    "magnetic_moments (of the atoms), or any numeric column of a release; several with commas between them.",
)
@click.option(
    "--model",
    default="ecn",
    help=f"Architecture: {', '.join(MODELS)}, one of an installed package, or package.module:Class.",
)
@click.option(
    "--group",
    metavar="G",
    help="Symmetry of an ecn's cells: S8 (the default), S8n, P1bar, a Bravais type such as cF, or lattice "
    "for each crystal's own.",
)
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Settings to start from.  [default: paper]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Settings from a YAML file instead, such as `ecn presets NAME` prints.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Passes over the training rows, instead of the preset's."
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Crystals per step, instead of the preset's.")
@click.option(
    "--batch-edges", type=click.IntRange(min=1), help="Bonds and atoms per step instead of crystals."
)
@click.option(
    "--max-edges",
    type=click.IntRange(min=1),
    help="Edges in memory at a time, where a batch does not fit; also with --resume.",
)
@click.option(
    "--precision",
    type=click.Choice(["32-true", "bf16-mixed", "16-mixed", "64-true"]),
    help="Of the arithmetic, instead of the preset's.",
)
@click.option("--seed", default=0, type=click.IntRange(0, 2**32 - 1), help="Fixes weights, order and draws.")
@click.option(
    "--symmetry-breaking/--no-symmetry-breaking",
    default=None,
    help="Whether nodes know their cells, instead of the preset's; without, about a seventh of the time.",
)
@click.option(
    "--set",
    "assignments",
    metavar="NAME=VALUE",
    multiple=True,
    help="Any other setting, as `ecn presets` lists them, or option of the model, as `ecn models` does; "
    "may be repeated.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="A split that `mpclean split` added to the release [default: the one that it was built with].",
)
@click.option("--limit", type=click.IntRange(min=1), help="Train on so many crystals, drawn at random.")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), help="End after so many minutes.")
@click.option("--device", default="auto", help="auto, cpu, cuda or mps.")
@click.option(
    "--logger",
    "loggers",
    multiple=True,
    default=["tensorboard"],
    type=click.Choice([*LOGGERS, "none"]),
    help="Beside metrics.csv; may be repeated.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the run [default: a new one under runs/]."
)
@click.option(
    "--resume",
    "resumed",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="Go on with a run that was stopped or killed; RELEASE only where it was moved.",
)
@click.pass_context
def fit(
    context: click.Context,
    release: Path | None,
    resumed: Path | None,
    device: str,
    loggers: tuple[str, ...],
    max_edges: int | None,
    **settings: Any,
) -> None:
    """Train a model on RELEASE; the last line of output names the run.

    With torchrun, on all devices that it starts processes for:
    torchrun --nproc-per-node 4 --no-python ecn fit RELEASE
    """
    from ecn.training.devices import is_first
    from ecn.training.run import resume

    loggers = tuple(name for name in loggers if name != "none")
    if resumed is not None:
        given = [o for o in context.command.params if context.get_parameter_source(o.name or "") != _DEFAULT]
        others = [option.opts[0] for option in given if option.name not in _OF_RESUMED]
        if others:
            raise UserError(f"--resume goes on with the settings of the run: leave out {', '.join(others)}")
        fitted = resume(resumed, device=device, release=release, max_edges=max_edges, loggers=loggers)
        run = resumed
    elif release is None:
        raise click.MissingParameter(param_type="argument", param_hint="'RELEASE'", ctx=context)
    else:
        run, fitted = _fit_anew(release, device, loggers, max_edges=max_edges, **settings)
    if is_first():
        click.echo(run)
    if fitted.interrupted:
        sys.exit(130)  # what a shell expects after Ctrl-C, so that a script stops too


def _fit_anew(
    release: Path,
    device: str,
    loggers: tuple[str, ...],
    *,
    target: str,
    model: str,
    preset: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    split: str | None,
    out: Path | None,
    seed: int,
    limit: int | None,
    time_limit: float | None,
    group: str | None,
    symmetry_breaking: bool | None,
    **settings: Any,
) -> tuple[Path, Fitted]:
    """A new run with its settings: those of a preset or a file, then those of the command line."""
    from ecn.training.run import fit, new_run

    if preset is not None and config is not None:
        raise UserError(f"--preset {preset} and --config {config} are both settings to start from; give one")
    preset = preset or "paper"
    chosen = PRESETS[preset] if config is None else from_yaml(config)
    changes, assigned = _changed(chosen, assignments, **settings)
    run = out or new_run(release, target)
    return run, fit(
        release,
        run,
        target=target,
        model=model,
        options=_given(group=group, symmetry_breaking=symmetry_breaking) | assigned,
        preset_name=preset if config is None else config.stem,
        preset=changes,
        seed=seed,
        device=device,
        split=split,
        limit=limit,
        time_limit=time_limit,
        loggers=loggers,
    )


def _changed(preset: Preset, assignments: tuple[str, ...], **settings: Any) -> tuple[Preset, dict[str, Any]]:
    """A preset with the settings of the command line, and what of --set is for the model."""
    assigned = dict(map(_assignment, assignments))
    known = training_settings(preset)
    of_training = _given(**settings) | {name: assigned.pop(name) for name in known if name in assigned}
    return changed(preset, "--set", **of_training), assigned


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
@click.argument("run")
@click.option("--part", default="test", type=click.Choice(_PARTS), help="Part of the split to predict.")
@click.option("--release", type=click.Path(path_type=Path), help="Another release than the one trained on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on the last line, and no table.")
@click.option(
    "--table",
    "table",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a row for every crystal (id, formula, label, prediction, error, standard deviation) to this "
    "CSV or Parquet file.",
)
@click.option("--device", default="cpu", help="cpu, cuda or mps.")
def evaluate(
    run: str, part: str, release: Path | None, as_json: bool, table: Path | None, device: str
) -> None:
    """Compare the predictions of RUN with the labels of a part of its split.

    RUN is a folder, the name of a reference model, or ORG/NAME[@REVISION] on the Hugging Face Hub.
    """
    from ecn.inference.evaluation import evaluate, write_compared
    from ecn.inference.figures import parity_figure
    from ecn.inference.tables import evaluation_table
    from ecn.runs.locate import locate

    folder = locate(run)
    evaluations = evaluate(folder, part, release, device)
    if difference := evaluations[0].difference:
        click.echo(f"Warning: {difference}", err=True)
    several = len(evaluations) > 1
    # The folder of a model that is not the user's own may be shared: its figures go into the current folder.
    figures = folder if folder == Path(run) else Path()
    for evaluation in evaluations:
        click.echo(f"{evaluation.n_excluded:,} rows {evaluation.task.excluded} are not compared", err=True)
        figure = figures / f"parity-{f'{evaluation.task.name}-' * several}{part}.png"
        parity_figure(evaluation, figure)
        if not as_json:
            click.echo(evaluation_table(evaluation))
            click.echo(f"figure: {figure}")
    if table is not None:
        write_compared(evaluations, table)
        click.echo(f"table: {table}", err=True)
    if as_json:
        summaries = [evaluation.summary() for evaluation in evaluations]
        click.echo(json.dumps({"targets": summaries} if several else summaries[0]))


@main.command()
@click.argument("run")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--with", "more", metavar="RUN", multiple=True, help="Another run of an ensemble; may be repeated."
)
@click.option("--part", type=click.Choice(_PARTS), help="Of a release [default: all its rows].")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json", "parquet"]),
    help="Of the output [default: by the name of --out, else csv].",
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write instead of standard output.")
@click.option("--device", default="cpu", help="cpu, cuda or mps.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes for a snapshot [default: the usable cores]."
)
def predict(
    run: str,
    inputs: tuple[Path, ...],
    more: tuple[str, ...],
    part: str | None,
    form: str | None,
    out: Path | None,
    device: str,
    workers: int | None,
) -> None:
    """Predict the crystals in INPUTS with RUN, and with those of --with: then the mean and the spread.

    RUN is a folder, the name of a reference model, or ORG/NAME[@REVISION] on the Hugging Face Hub. An
    input is a structure file (CIF, POSCAR, extended XYZ, ...), a release, or a snapshot of records as
    `mpclean build --source` takes it. A model of sites gives a row for each atom of the canonical primitive
    cell. One that cannot be read leaves the others alone; the exit status
    is then 2, as it is where a crystal has no number.
    """
    from ecn.inference.inputs import predict_input, table_writer
    from ecn.inference.predict import load
    from mpclean.pipeline.cores import usable_cores

    predictor = load(run, *more, device=device)
    for task in predictor.goal.tasks:
        if task.rows:
            click.echo(f"{task.name} was learned from crystals where {task.rows} is true", err=True)
    ending = out.suffix.removeprefix(".") if out else ""
    workers = workers or usable_cores()
    failed = False
    with table_writer(out, form or (ending if ending in ("json", "parquet") else "csv")) as write:
        for path in inputs:
            n_warned = 0
            try:
                for table in predict_input(predictor, path, part, workers):
                    write(table)
                    failed |= table["value"].null_count > 0
                    # Of all rows of a crystal the warning is one.
                    warned = dict(
                        zip(*(table[name].to_pylist() for name in ("index", "warning")), strict=True)
                    )
                    for warning in filter(None, warned.values()):
                        n_warned += 1
                        if n_warned <= _WARNINGS:
                            click.echo(f"ecn: {path}: {warning}", err=True)
            except UserError as error:
                click.echo(f"ecn: {error}", err=True)
                failed = True
            if n_warned > _WARNINGS:
                click.echo(f"{path}: {n_warned - _WARNINGS} more warnings, see the table", err=True)
    if failed:
        sys.exit(2)


@main.command()
@click.argument("run")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--part", default="test", type=click.Choice(_PARTS), help="Rows to measure it on.")
@click.option("--release", type=click.Path(path_type=Path), help="Where the release of the run is now.")
@click.option(
    "--obtain", metavar="TEXT", default="", help="How a reader gets the data, for the card; Markdown."
)
def export(run: str, out: Path, part: str, release: Path | None, obtain: str) -> None:
    """Write the best weights of RUN to the folder OUT, with measured errors and a model card."""
    from ecn.runs.export import export
    from ecn.runs.locate import locate

    export(locate(run), out, part=part, release=release, obtain=obtain)
    click.echo(out)


@main.command()
@click.argument("run")
@click.argument("repo", metavar="ORG/NAME")
@click.option("--private", is_flag=True, help="If the repository is to be made, only for its organisation.")
@click.option("--part", default="test", type=click.Choice(_PARTS), help="Rows to measure it on.")
@click.option("--release", type=click.Path(path_type=Path), help="Where the release of the run is now.")
@click.option(
    "--obtain", metavar="TEXT", default="", help="How a reader gets the data, for the card; Markdown."
)
def push(run: str, repo: str, private: bool, part: str, release: Path | None, obtain: str) -> None:
    """Send RUN to the model ORG/NAME of the Hugging Face Hub, as `ecn export` writes it."""
    from tempfile import TemporaryDirectory

    from ecn.runs.export import export
    from ecn.runs.hub import push
    from ecn.runs.locate import locate

    with TemporaryDirectory() as folder:
        exported = Path(folder) / "run"
        export(locate(run), exported, part=part, release=release, obtain=obtain)
        commit = push(exported, repo, private)
    click.echo(f"{repo}@{commit}")


@main.command()
@click.argument("release", type=click.Path(path_type=Path))
@click.option(
    "--models",
    default="ecn,ecn:P1bar,cgcnn,megnet",
    help="Architectures, with commas between them; an ecn with its group as in ecn:P1bar.",
)
@click.option(
    "--targets",
    default="formation_energy",
    help="Those of `ecn fit`, with commas between them; one model each, or one for several as in "
    "formation_energy+band_gap.",
)
@click.option("--seeds", default="0,1,2", help="Of every model and target.")
@click.option("--preset", default="paper", type=click.Choice(list(PRESETS)), help="Settings to start from.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the preset's.")
@click.option(
    "--set",
    "assignments",
    metavar="NAME=VALUE",
    multiple=True,
    help="A setting, as for `ecn fit`, or MODEL.NAME=VALUE, an option of one of the models; may be repeated.",
)
@click.option("--split", metavar="NAME", help="A split that `mpclean split` added.")
@click.option("--limit", type=click.IntRange(min=1), help="Train on so many crystals, drawn at random.")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), help="Minutes of every run.")
@click.option("--device", default="auto", help="auto, cpu, cuda or mps.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the grid [default: benchmarks/ and the release].",
)
def benchmark(
    release: Path,
    models: str,
    targets: str,
    seeds: str,
    preset: str,
    epochs: int | None,
    assignments: tuple[str, ...],
    split: str | None,
    limit: int | None,
    time_limit: float | None,
    device: str,
    out: Path | None,
) -> None:
    """Train models on targets of RELEASE with several seeds; their errors beside the published ones.

    A grid that was stopped or killed goes on with the same command: what is finished is not done again.
    """
    import shlex

    from ecn.runs.benchmark import PAGE, Grid, run_grid, save

    settings, assigned = _changed(PRESETS[preset], assignments, epochs=epochs)
    settings = with_options(settings, assigned)
    try:
        numbers = tuple(int(seed) for seed in seeds.split(","))
    except ValueError:
        raise UserError(f"--seeds {seeds}: whole numbers with commas between them are needed") from None
    grid = Grid(
        release=release,
        models=tuple(models.split(",")),
        targets=tuple(targets.split(",")),
        seeds=numbers,
        preset_name=preset,
        preset=settings,
        split=split,
        limit=limit,
        time_limit=time_limit,
        device=device,
    )
    folder = out or Path("benchmarks") / release.resolve().name
    records, failures, interrupted = run_grid(grid, folder)
    if records:
        click.echo(save(grid, records, failures, folder, shlex.join(["ecn", *sys.argv[1:]])))
        click.echo(f"\n{folder / PAGE}")
    for line in failures:
        click.echo(f"ecn: {line}", err=True)
    if interrupted:
        sys.exit(130)
    if failures:
        sys.exit(2)


@main.command()
def references() -> None:
    """List the models that ship, with their measured errors."""
    from tabulate import tabulate

    from ecn.reference import references
    from ecn.runs.card import shown
    from ecn.runs.checkpoint import load_config
    from ecn.runs.export import EVALUATION

    rows = []
    for name, folder in references().items():
        config = load_config(folder)
        for measured in json.loads((folder / EVALUATION).read_text())["targets"]:
            metric, value, error, unit = shown(measured)[0]
            found = f"{metric} {value:.4f}" + ("" if error is None else f" +- {error:.4f}") + f" {unit}"
            data = f"{config.release['name']}, {measured['split']}"
            rows.append([name, measured["target"], config.model, data, found.rstrip()])
    click.echo(tabulate(rows, ["name", "target", "model", "measured on", "error"]))


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
    from ecn.symmetry.patterns import describe, draw, find_pattern

    pattern = find_pattern(lattice, side)
    if figure is not None:
        draw(pattern, figure)
    click.echo(describe(pattern))


@main.command()
def models() -> None:
    """List the models with their options."""
    from ecn.models import describe, known

    click.echo("\n\n".join(map(describe, known())))


@main.command()
@click.argument("name", required=False, type=click.Choice(list(PRESETS)))
def presets(name: str | None) -> None:
    """List the presets, or print the preset NAME as a file for `ecn fit --config`."""
    if name is not None:
        click.echo(to_yaml(PRESETS[name]), nl=False)
        return
    for name, preset in PRESETS.items():
        click.echo(f"{name}: " + ", ".join(f"{k} {v}" for k, v in training_settings(preset).items()))
        for model, options in preset.options.items():
            click.echo(f"  {model}: " + ", ".join(f"{k} {v}" for k, v in options.items()))
