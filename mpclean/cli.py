"""The command line: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from mpclean.errors import UserError


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """End a command with one clear line where the user can put something right."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UserError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(2)
        except BrokenPipeError:
            raise  # the reader of our output has gone, and click knows what to do
        except OSError as error:
            click.echo(f"Error: {error.filename or ''}: {error.strerror or error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("Interrupted; nothing was written.", err=True)
            sys.exit(130)

    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mpclean")
def main() -> None:
    """Turn a snapshot of the Materials Project into a clean, versioned data set."""


@main.command()
@click.option(
    "--version", metavar="V", help="Known version: demo, perov-5, 2021.05. Without it none is claimed."
)
@click.option("--source", metavar="NAME|PATH", help="Known source, or the path of a snapshot.")
@click.option(
    "--out", metavar="DIR", help="Folder of the release.  [default: releases/<name of the version>]"
)
@click.option(
    "--split",
    metavar="random|published|PATH",
    help="The authors' shuffle, the source's own split, or a table, a list or a folder of lists of ids.",
)
@click.option(
    "--min-area", type=click.FloatRange(min=0), metavar="A2", help="Smallest Voronoi face of a bond, A^2."
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: the usable cores]")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read the first N records only.")
@click.option("--force", is_flag=True, help="Replace a release that is already there.")
@one_line_errors
def build(min_area: float | None, **options: Any) -> None:
    """Build a release from a source."""
    from mpclean.pipeline import build
    from mpclean.release.statistics import funnel_rows, render, split_rows, target_rows

    if min_area is not None:
        options["min_area"] = min_area
    release = build(**options)
    for rows in (funnel_rows, split_rows, target_rows):
        click.echo(render(rows(release.manifest)) + "\n")
    click.echo(f"content hash {release.content_hash}")
    click.echo(str(release.path))


@main.command()
@click.argument("release")
@one_line_errors
def verify(release: str) -> None:
    """Compare every byte of a release with its manifest."""
    from mpclean.release import open_release

    opened = open_release(release)
    problems = opened.verify()
    for problem in problems:
        click.echo(problem)
    if problems:
        raise UserError(
            f"{release}: {len(problems)} files differ from the manifest; build or fetch the release again"
        )
    click.echo(
        f"{release}: {len(opened.manifest['files']) + 1} files intact, content hash {opened.content_hash}"
    )
