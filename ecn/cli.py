"""The ``ecn`` command: parse, call, print. torch is imported inside the commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import click

from ecn import needs_extra
from ecn.models import MODELS
from ecn.training.presets import (
    LOGGERS,
    PRESETS,
    to_yaml,
    training_settings,
    with_options,
)
from mpclean.cli import one_line
from mpclean.errors import UserError

_PARTS = ("train", "validation", "test")

_DEFAULT = click.core.ParameterSource.DEFAULT


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        with one_line("a fit goes on with: ecn fit --resume RUN"), needs_extra():
            return super().invoke(ctx)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="mpclean")
def main() -> None:
    """Train crystal networks on a release, evaluate them, and predict with them."""


#: Options of ``ecn fit`` that may be given with --resume; all others are those that the run began with.
_OF_RESUMED = ("release", "resumed", "device", "threads", "loggers", "max_edges")


@main.command()
@click.argument("release", type=click.Path(path_type=Path), required=False)
@click.option(
    "--target",
    default="formation_energy",
    help="formation_energy, fermi_energy, band_gap (insulators only), magnetization, is_metal, "
    "magnetic_moments (of the atoms), or any numeric column of the release; several separated by commas.",
)
@click.option(
    "--model",
    help=f"Architecture: {', '.join(MODELS)}, one of an installed package, or package.module:Class.  "
    "[default: ecn, or that of --from]",
)
@click.option(
    "--from",
    "start",
    metavar="RUN",
    help="Fine-tune: start from the weights of a run or a reference model (`ecn references`), such as "
    "formation-energy, instead of random ones.",
)
@click.option(
    "--group",
    metavar="G",
    help="Symmetry group of an ecn's cells: S8 (the default), S8n, P1bar, a Bravais type such as cF, or "
    "lattice for each crystal's own.",
)
@click.option(
    "--preset",
    metavar="NAME",
    help=f"Settings to start from: {', '.join(PRESETS)}.  [default: best up to 30,000 training crystals, "
    "else fast]",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Start from the settings in a YAML file, such as `ecn presets NAME` prints.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training crystals.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Crystals per step.")
@click.option(
    "--batch-edges", type=click.IntRange(min=1), help="Bonds and atoms per step, instead of a batch size."
)
@click.option(
    "--max-edges",
    type=click.IntRange(min=1),
    help="Edges in memory at a time, where a batch does not fit; also with --resume.",
)
@click.option(
    "--precision",
    type=click.Choice(["32-true", "bf16-mixed", "16-mixed", "64-true"]),
    help="Floating point precision.",
)
@click.option("--seed", default=0, type=click.IntRange(0, 2**32 - 1), help="Random seed.")
@click.option(
    "--symmetry-breaking/--no-symmetry-breaking",
    default=None,
    help="Whether nodes know which cell of the supercell they are in; without, a step takes about a "
    "seventh of the time.",
)
@click.option(
    "--set",
    "assignments",
    metavar="NAME=VALUE",
    multiple=True,
    help="Any other setting listed by `ecn presets`, or option of the model listed by `ecn models`; may be "
    "repeated.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="A split that `mpclean split` added to the release.  [default: the one it was built with]",
)
@click.option(
    "--folds",
    type=click.IntRange(min=1),
    help="Train an ensemble of so many models, each validated on another fold of the training and validation "
    "rows.  [default: 5 below 1,000 labelled crystals, else 1]",
)
@click.option("--limit", type=click.IntRange(min=1), help="Train on a random subset of so many crystals.")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), help="Stop after so many minutes.")
@click.option("--device", default="auto", help="auto, cpu, cuda or mps.")
@click.option(
    "--threads",
    default=1,
    type=click.IntRange(min=1),
    help="CPU threads. More than one helps on an idle machine only: on a busy one they wait for each other.",
)
@click.option(
    "--logger",
    "loggers",
    multiple=True,
    default=["tensorboard"],
    type=click.Choice([*LOGGERS, "none"]),
    help="Log to this as well as to metrics.csv; may be repeated.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the run.  [default: a new one under runs/]"
)
@click.option(
    "--resume",
    "resumed",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="Resume a run that was stopped or killed; RELEASE only if it was moved.",
)
@click.pass_context
def fit(
    context: click.Context,
    release: Path | None,
    resumed: Path | None,
    device: str,
    threads: int,
    loggers: tuple[str, ...],
    max_edges: int | None,
    target: str,
    model: str | None,
    start: str | None,
    preset: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    split: str | None,
    folds: int | None,
    out: Path | None,
    seed: int,
    limit: int | None,
    time_limit: float | None,
    **settings: Any,
) -> None:
    """Train a model on RELEASE; the last line of output names the run.

    With fewer than 1,000 labelled crystals, and no preset asked for, the run is an ensemble of five models
    over five folds, whose standard deviation says how far to trust a prediction.

    With torchrun, on all devices that it starts processes for:
    torchrun --nproc-per-node 4 --no-python ecn fit RELEASE
    """
    from ecn.training.devices import is_first
    from ecn.training.start import Machine, resume_fit, start_fit

    machine = Machine(device, threads, tuple(name for name in loggers if name != "none"))
    if resumed is not None:
        given = [o for o in context.command.params if context.get_parameter_source(o.name or "") != _DEFAULT]
        others = [option.opts[0] for option in given if option.name not in _OF_RESUMED]
        if others:
            raise UserError(f"--resume keeps the settings of the run: leave out {', '.join(others)}")
        fitted = resume_fit(resumed, machine, release=release, max_edges=max_edges)
        run = resumed
    elif release is None:
        raise click.MissingParameter(param_type="argument", param_hint="'RELEASE'", ctx=context)
    else:
        run, fitted = start_fit(
            release,
            out,
            target=target,
            model=model,
            preset=preset,
            config=config,
            settings=_given(max_edges=max_edges, **settings) | dict(map(_assignment, assignments)),
            seed=seed,
            split=split,
            limit=limit,
            time_limit=time_limit,
            start=start,
            folds=folds,
            machine=machine,
        )
    if is_first():
        click.echo(run)
    if fitted.interrupted:
        sys.exit(130)  # what a shell expects after Ctrl-C, so that a script stops too


def _given(**values: Any) -> dict[str, Any]:
    """Keep the values that the user gave."""
    return {name: value for name, value in values.items() if value is not None}


def _assignment(text: str) -> tuple[str, Any]:
    """Parse NAME=VALUE, where the value is JSON, or else a word."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text}: not an assignment; write --set NAME=VALUE")
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
    "--with", "more", metavar="RUN", multiple=True, help="Another run for an ensemble; may be repeated."
)
@click.option("--part", type=click.Choice(_PARTS), help="Part of a release.  [default: all its rows]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    help="Format of the output.  [default: by the name of --out; else a table on a terminal, CSV in a pipe]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file, not to standard output.")
@click.option("--device", default="cpu", help="cpu, cuda or mps.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: the usable cores]")
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
    """Predict the crystals in INPUTS with RUN.

    RUN is a folder, the name of a reference model, or ORG/NAME[@REVISION] on the Hugging Face Hub. Of an
    ensemble, or with --with, the mean is given, and the standard deviation. An input is a structure file
    (CIF, POSCAR, extended XYZ, ...), a folder of them, a release, or a snapshot of records as `mpclean build
    --source` takes it. A model of sites gives a row for each atom of the canonical primitive cell.

    The exit status is 1 if some crystals or files could not be predicted, and 2 if none could.
    """
    from ecn.inference.inputs import predict_input, table_writer
    from ecn.inference.predict import load
    from ecn.inference.tables import WarningCounts
    from mpclean.pipeline.cores import usable_cores

    predictor = load(run, *more, device=device)
    for task in predictor.goal.tasks:
        if task.rows:
            click.echo(f"{task.name} was learned from crystals where {task.rows} is true", err=True)
    ending = out.suffix.removeprefix(".") if out else ""
    usual = "table" if out is None and sys.stdout.isatty() else "csv"
    n_predicted = n_failed = 0

    with table_writer(out, form or (ending if ending in ("json", "parquet") else usual)) as write:
        for path in inputs:
            counts = WarningCounts(path)
            try:
                for table in predict_input(predictor, path, part, workers or usable_cores()):
                    write(table)
                    n_failed += table["value"].null_count
                    n_predicted += len(table) - table["value"].null_count
                    counts.add(table)
            except UserError as error:
                n_failed += 1
                click.echo(f"Error: {error}", err=True)
            for line in counts.lines():
                click.echo(f"Warning: {line}", err=True)
    if n_failed:
        sys.exit(1 if n_predicted else 2)


@main.command()
@click.argument("run")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--part", default="test", type=click.Choice(_PARTS), help="Part of the split to measure the errors on."
)
@click.option("--release", type=click.Path(path_type=Path), help="Where the release of the run is now.")
@click.option(
    "--obtain", metavar="TEXT", default="", help="How readers get the data, for the model card; Markdown."
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
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option(
    "--part", default="test", type=click.Choice(_PARTS), help="Part of the split to measure the errors on."
)
@click.option("--release", type=click.Path(path_type=Path), help="Where the release of the run is now.")
@click.option(
    "--obtain", metavar="TEXT", default="", help="How readers get the data, for the model card; Markdown."
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
    help="Architectures separated by commas; an ecn with its group as in ecn:P1bar.",
)
@click.option(
    "--targets",
    default="formation_energy",
    help="Targets of `ecn fit` separated by commas; one model each, or one for several as in "
    "formation_energy+band_gap.",
)
@click.option("--seeds", default="0,1,2", help="Random seeds, separated by commas.")
@click.option("--preset", default="paper", type=click.Choice(list(PRESETS)), help="Settings to start from.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training crystals.")
@click.option(
    "--set",
    "assignments",
    metavar="NAME=VALUE",
    multiple=True,
    help="A setting, as for `ecn fit`, or MODEL.NAME=VALUE, an option of one of the models; may be repeated.",
)
@click.option("--split", metavar="NAME", help="A split that `mpclean split` added.")
@click.option("--limit", type=click.IntRange(min=1), help="Train on a random subset of so many crystals.")
@click.option(
    "--time-limit", type=click.FloatRange(min=0, min_open=True), help="Stop every run after so many minutes."
)
@click.option("--device", default="auto", help="auto, cpu, cuda or mps.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the grid.  [default: benchmarks/NAME of the release]",
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
    """Train several models, targets and seeds on RELEASE, and compare with the published errors.

    The same command resumes a grid that was stopped or killed: finished runs are not repeated.
    """
    import shlex

    from ecn.runs.benchmark import PAGE, Grid, run_grid, save
    from ecn.training.start import split_settings

    given = _given(epochs=epochs) | dict(map(_assignment, assignments))
    settings, assigned = split_settings(PRESETS[preset], given)
    settings = with_options(settings, assigned)
    try:
        numbers = tuple(int(seed) for seed in seeds.split(","))
    except ValueError:
        raise UserError(
            f"--seeds {seeds}: expected whole numbers separated by commas, such as 0,1,2"
        ) from None
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
        click.echo(f"Error: {line}", err=True)
    if interrupted:
        sys.exit(130)
    if failures:
        sys.exit(2)


@main.command()
def references() -> None:
    """List the reference models that ship, with their measured errors."""
    from ecn.reference import references
    from ecn.runs.card import shown
    from ecn.runs.checkpoint import load_config
    from ecn.runs.export import EVALUATION
    from mpclean.release.tables import render

    rows = []
    for name, folder in references().items():
        config = load_config(folder)
        for measured in json.loads((folder / EVALUATION).read_text())["targets"]:
            metric, value, error, unit = shown(measured)[0]
            found = f"{metric} {value:.4f}" + ("" if error is None else f" +- {error:.4f}") + f" {unit}"
            data = f"{config.release.name}, {measured['split']}"
            rows.append([name, measured["target"], config.model, data, found.rstrip()])
    click.echo(render((["name", "target", "model", "measured on", "error"], rows)))


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
    from ecn.models import REGISTRY, describe

    lines = "\n\n".join(map(describe, REGISTRY.names())).splitlines()
    width = get_terminal_size((80, 24)).columns
    for line in lines:
        # Lines that fit stay as they are, with the indentation of options.
        click.echo(line if len(line) <= width else click.wrap_text(line, width, "", "    "))


@main.command()
@click.argument("name", required=False, type=click.Choice(list(PRESETS)))
def presets(name: str | None) -> None:
    """List the presets, or print the preset NAME as a file for `ecn fit --config`."""
    if name is not None:
        click.echo(to_yaml(PRESETS[name]), nl=False)
        return
    from mpclean.release.tables import render

    settings = [training_settings(preset) for preset in PRESETS.values()]
    rows = [[name, *(str(preset[name]) for preset in settings)] for name in settings[0]]
    click.echo(render((["setting", *PRESETS], rows)))
    for name, preset in PRESETS.items():
        for model, options in preset.options.items():
            line = f"{name}, {model}: " + ", ".join(f"{k} {v}" for k, v in options.items())
            click.echo("\n" + click.wrap_text(line, get_terminal_size((80, 24)).columns, "", "  "))
