"""The command line: parse, call, print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click

from mpclean.errors import UserError, ending
from mpclean.vocabulary.functionals import FUNCTIONALS, HULLS
from mpclean.vocabulary.text import printable


@contextmanager
def one_line(interrupted: str) -> Iterator[None]:
    """End a command, of both packages, with one clear line where the user can put something right.

    Parameters
    ----------
    interrupted
        What is left when a person ends the command.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if (end := ending(error, interrupted)) is None:
            raise
        click.echo(printable(end.line), err=True)
        sys.exit(end.status)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        with one_line("a release is written whole or not at all"):
            return super().invoke(ctx)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mpclean")
def main() -> None:
    """Turn a snapshot of the Materials Project into a clean, versioned data set."""


@main.command()
@click.option("--version", metavar="V", help="Known version (mpclean versions). Without it none is claimed.")
@click.option("--source", metavar="NAME|PATH", help="Known source, or the path of a snapshot.")
@click.option(
    "--out", metavar="DIR", help="Folder of the release.  [default: releases/<name of the version>]"
)
@click.option(
    "--split",
    metavar="random|published|PATH",
    help="The authors' shuffle, what was published with the source or of the version, or a table, a list or "
    "a folder of lists of ids.  [default: published where there is one, else random]",
)
@click.option(
    "--rules",
    metavar="NAME,NAME",
    help="Rules in their order, after record.  [default: those of the version]",
)
@click.option(
    "--rule",
    "parameters",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Parameter of a rule, repeatable: max_atoms=50, dimensionality=3, or dedup=structure, to exclude "
    "equal structures only.",
)
@click.option("--plan", metavar="FILE", help="Rules and their parameters from a TOML file.")
@click.option(
    "--min-area", type=click.FloatRange(min=0), metavar="A2", help="Smallest Voronoi face of a bond, A^2."
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: the usable cores]")
@click.option("--scheduler", metavar="ADDRESS", help="Work on a Dask cluster instead, as in tcp://host:8786.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read the first N records only.")
@click.option(
    "--functional",
    type=click.Choice(FUNCTIONALS),
    help="Of sources with records of several functionals, take this one.  [default: PBE]",
)
@click.option(
    "--hull",
    type=click.Choice(tuple(HULLS)),
    help="Of the Materials Project, energies on the hull of PBE or of PBE mixed with r2SCAN.  [default: pbe]",
)
@click.option("--bulk", is_flag=True, help="Download the whole Materials Project at once, not in pages.")
@click.option(
    "--allow-version-drift",
    is_flag=True,
    help="Take records of another version than V; the Materials Project is asked for the ids published of V.",
)
@click.option(
    "--label",
    multiple=True,
    metavar="NAME:UNIT",
    help="Keep a numeric field of the records that the schema does not know. Repeatable.",
)
@click.option("--labels", metavar="FILE", help="Join labels by id from a table (CSV, Parquet, JSON).")
@click.option("--licence", metavar="SPDX", help="Licence of the records.  [default: as stated, else unknown]")
@click.option(
    "--citation", metavar="TEXT", help="How to cite the records.  [default: as stated, else unknown]"
)
@click.option("--force", is_flag=True, help="Replace a release that is already there.")
def build(min_area: float | None, rules: str | None, parameters: tuple[str, ...], **options: Any) -> None:
    """Build a release from a source."""
    from mpclean.pipeline.run import build
    from mpclean.release.tables import (
        coverage,
        funnel_rows,
        merge_note,
        merge_rows,
        render,
        replay_notes,
        replay_rows,
        split_rows,
        target_rows,
    )
    from mpclean.rules.choice import parse_value

    if min_area is not None:
        options["min_area"] = min_area
    if rules is not None:
        options["rules"] = [name.strip() for name in rules.split(",") if name.strip()]
    release = build(rule=dict(map(parse_value, parameters)), **options)
    for rows in (funnel_rows, split_rows, target_rows):
        if (table := rows(release.manifest))[1]:
            click.echo(render(table) + "\n")
    if empty := [part for part, n_records in release.manifest.splits.items() if not n_records]:
        click.echo(f"no records in {' and '.join(empty)}: there are too few for a split\n")
    if (merges := merge_rows(release.manifest))[1]:
        click.echo("\n".join((render(merges), merge_note(release.manifest), "")))
    if release.manifest.replay:
        click.echo("\n".join((render(replay_rows(release.manifest)), *replay_notes(release.manifest), "")))
    if sentence := coverage(release.manifest):
        click.echo(sentence + "\n")
    for line in release.manifest.label_notes:
        click.echo(printable(line))
    click.echo(f"content hash {release.content_hash}")
    click.echo(str(release.path))


@main.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the entries as one JSON object.")
def versions(name: str | None, as_json: bool) -> None:
    """List the known upstream versions, or all that is known of one."""
    from mpclean.release.tables import render
    from mpclean.sources.versions import find_version, known_versions, version_rows, version_tables

    chosen = list(known_versions().values()) if name is None else [find_version(name)]
    if as_json:
        click.echo(json.dumps({version.name: asdict(version) for version in chosen}, indent=2))
    elif name is None:
        click.echo(render(version_rows(chosen)))
    else:
        click.echo("\n\n".join(render(table) for table in version_tables(chosen[0])))


@main.command()
@click.argument("release")
def verify(release: str) -> None:
    """Compare files with the manifest, tables with the schema, and claims with the rows.

    Content hash, counts and statistics are computed again, and lengths of bonds and formulas from the
    crystals.
    """
    from mpclean.release import open_release

    opened = open_release(release)
    problems = opened.verify()
    for problem in problems:
        click.echo(printable(problem))
    if problems:
        raise UserError(
            f"{release}: {len(problems)} files or tables are not what they should be; build or fetch the "
            "release again"
        )
    click.echo(
        f"{release}: {len(opened.manifest.files) + 1} files intact, content hash {opened.content_hash}"
    )


@main.command()
@click.argument("release")
@click.option(
    "--format",
    metavar="FORMAT",
    required=True,
    help="extxyz, ase-db, jsonl and matbench: one file; cif, poscar (labels beside them in labels.jsonl) and "
    "cgcnn: a folder of files.",
)
@click.option("--out", required=True, metavar="PATH", help="File or folder to write.")
@click.option("--part", metavar="NAME", help="train, validation or test.  [default: all of them]")
@click.option(
    "--split", metavar="NAME", help="Split that --part belongs to.  [default: the one of the build]"
)
@click.option("--config", metavar="NAME", help="As in load_dataset: insulators, band_gap, ...")
@click.option("--target", metavar="COLUMN", help="The label that cgcnn and matbench hold.")
def export(release: str, target: str | None, **options: Any) -> None:
    """Write crystals and labels in the format of another program."""
    from mpclean.release import open_release
    from mpclean.release.export import export

    done = export(open_release(release), target=target, **options)
    if done.n_left_out:
        click.echo(f"{done.n_left_out:,} crystals without {target} left out")
    click.echo(f"{done.n_crystals:,} crystals")
    click.echo(options["out"])


@main.command()
@click.argument("release")
@click.option(
    "--strategy",
    required=True,
    metavar="S",
    help="random; formula, prototype or chemical-system, of which none is in two parts; leave-element-out; "
    "k-fold, each record once in test; learning-curve, nested parts of train; time, train on the old and "
    "test on the new; published, lists of ids.",
)
@click.option("--name", metavar="NAME", help="Name of the split.  [default: that of the strategy]")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of every shuffle.  [default: 0]")
@click.option(
    "--fractions",
    nargs=3,
    type=float,
    metavar="F F F",
    help="Shares of train, validation and test.  [default: 0.8 0.1 0.1]",
)
@click.option("--element", metavar="SYMBOL", help="The element that leave-element-out holds back.")
@click.option("--folds", type=click.IntRange(min=3), metavar="K", help="Of k-fold.  [default: 5]")
@click.option(
    "--group",
    metavar="LEVEL",
    help="Of k-fold: formula, prototype or chemical-system, of which none is in two folds.",
)
@click.option(
    "--of", metavar="NAME", help="The split that learning-curve takes parts of.  [default: that of the build]"
)
@click.option(
    "--by",
    type=click.Choice(("date", "id")),
    help="What time orders by: the date that the source states, or the number of an id of the Materials "
    "Project; records without one are left out.  [default: date where there are any]",
)
@click.option(
    "--lists",
    metavar="PATH",
    help="Of published: a table, a list or a folder of lists of ids; records on none are left out.  "
    "[default: those published of the version]",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: the usable cores]")
@click.option("--force", is_flag=True, help="Replace a split of that name.")
def split(release: str, strategy: str, **options: Any) -> None:
    """Split a release once more, beside the split that it was built with."""
    from mpclean.release.splitting import split
    from mpclean.release.tables import render

    counts = split(release, strategy, **options)
    rows = [[name, *(f"{n:,}" for n in parts.values())] for name, parts in counts.items()]
    click.echo(render((["split", "train", "validation", "test"], rows)))


@main.command()
@click.argument("release")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: the usable cores]")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as one JSON object.")
def audit(release: str, workers: int | None, as_json: bool) -> None:
    """Look for leakage between parts of splits, suspicious labels, and energies that do not compare.

    Ends with status 1 where a split leaks at a level that it promises to keep apart.
    """
    from mpclean.inspection.audit import audit
    from mpclean.inspection.audit.tables import clean_notes, tables
    from mpclean.release.tables import render

    found = audit(release, workers)
    if as_json:
        click.echo(json.dumps(found.summary()))
    else:
        shown = "\n\n".join(map(render, tables(found)))
        click.echo("\n".join((shown, "", *map(printable, clean_notes(found)))))
    for split, level in found.broken:
        click.echo(f"the split {split} leaks at the level {level}, which it promises to keep apart", err=True)
    if found.broken:
        sys.exit(1)


@main.command()
@click.argument("release")
@click.argument("material_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print what is known as one JSON object.")
def explain(release: str, material_id: str, as_json: bool) -> None:
    """Tell the life of one record: source, symmetry, bonds, every rule's verdict, splits."""
    from mpclean.inspection.explain import explain

    life = explain(release, material_id)
    click.echo(json.dumps(life.summary()) if as_json else str(life))


@main.command()
@click.argument("release")
@click.argument("level", type=click.Choice(("major", "minor", "patch")))
def bump(release: str, level: str) -> None:
    """Give a release its next version; mpclean diff says which level a change asks for."""
    from mpclean.release.versioning import raise_version

    click.echo(f"{release}: {raise_version(release, level)}")


@main.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    metavar="UNIT=VALUE",
    help="Difference up to which numbers are the same, as in eV/atom=0.001; that in A is also the one of "
    "structures and bonds.  [default: A=0.001, muB=0.01, else 1e-6]",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: the usable cores]")
@click.option("--json", "as_json", is_flag=True, help="Print every difference as one JSON object.")
def diff(a: str, b: str, tolerances: tuple[str, ...], workers: int | None, as_json: bool) -> None:
    """Compare two releases, or a release and a snapshot.

    Ends with status 0 where no record differs and 1 where one does.
    """
    from mpclean.inspection.diff import diff, diff_tables
    from mpclean.release.tables import render

    found = diff(a, b, _tolerances(tolerances), workers)
    if as_json:
        click.echo(json.dumps(found.summary()))
    else:
        for table in diff_tables(found):
            click.echo(render(table) + "\n")
        for name, built in found.built.items():
            click.echo(printable(f"built with another {name}: {built['a']} -> {built['b']}"))
        within = ", ".join(f"{value:g} {unit or '(no unit)'}" for unit, value in found.tolerance.items())
        click.echo(f"the same are numbers within {within}")
        click.echo(printable(found.conclusion))
    if found:
        sys.exit(1)


def _tolerances(given: tuple[str, ...]) -> dict[str, float]:
    """Return the options ``UNIT=VALUE`` by unit."""
    tolerances = {}
    for text in given:
        unit, _, value = text.rpartition("=")
        try:
            tolerances[unit] = float(value)
        except ValueError:
            tolerances[unit] = -1.0
        if not (unit and 0.0 <= tolerances[unit] < float("inf")):
            raise UserError(
                f"--tolerance {text}: UNIT=VALUE with a number of 0 or more is needed, as A=0.001"
            )
    return tolerances


@main.command()
@click.argument("release")
@click.option("--out", metavar="DIR", help="Folder to make.  [default: report, in the release]")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: the usable cores]")
def report(release: str, out: str | None, workers: int | None) -> None:
    """Make a page to look at, with its figures: what is in a release, what was excluded, what leaks.

    The audit is part of it, which takes minutes for tens of thousands of crystals.
    """
    from mpclean.inspection.report import report

    click.echo(str(report(release, out, workers)))


@main.command()
@click.argument("release")
@click.argument("repo", metavar="ORG/NAME")
@click.option("--dry-run", is_flag=True, help="List what would be sent, and send nothing.")
@click.option("--private", is_flag=True, help="Make the data set a private one.")
def push(release: str, repo: str, dry_run: bool, private: bool) -> None:
    """Send a release to the Hugging Face Hub, with its version as the tag."""
    from mpclean.release.hub import plan_push, send

    plan = plan_push(release, repo, private)
    content = f"{repo} {plan.tag}, content hash {plan.release.content_hash}"
    if plan.published:
        click.echo(f"{content}: published already, nothing to send")
        return
    for name, size in plan.send.items():
        click.echo(f"send {name} ({size:,} bytes)")
    for name in plan.remove:
        click.echo(f"remove {name}")
    click.echo(f"{content}: nothing was sent" if dry_run else f"{content}, commit {send(plan)}")


@main.command()
@click.argument("repo", metavar="ORG/NAME")
@click.option(
    "--revision", metavar="TAG", default="main", show_default=True, help="Version to bring, as in v1.0.0."
)
@click.option("--out", metavar="DIR", help="Folder of the release.  [default: releases/NAME]")
@click.option("--force", is_flag=True, help="Replace a release that is already there.")
def pull(repo: str, revision: str, out: str | None, force: bool) -> None:
    """Bring a release back from the Hugging Face Hub, and verify it."""
    from mpclean.release.hub import pull

    release = pull(repo, revision, out, force)
    click.echo(
        f"{repo} {revision}: {len(release.manifest.files) + 1} files intact, "
        f"content hash {release.content_hash}"
    )
    click.echo(str(release.path))
