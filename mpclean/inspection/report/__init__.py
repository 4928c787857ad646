"""A page to look at: what is in a release, what was excluded and why, and what can be held against it.

One HTML file that needs nothing else, and its figures as PNG. A section of it is a function here that
yields text, tables and plots (`mpclean.inspection.report.base`), and an entry in `SECTIONS`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from mpclean.errors import UserError
from mpclean.inspection.report import (
    bonds,
    duplicates,
    elements,
    excluded,
    funnel,
    leakage,
    provenance,
    symmetry,
    targets,
)
from mpclean.inspection.report.base import Block, Context, Image, Plot, Section
from mpclean.inspection.report.page import page
from mpclean.inspection.report.style import drawing, rendered
from mpclean.release import Release, open_release
from mpclean.release.atomic import move_into_place, staging_folder
from mpclean.release.layout import REPORT
from mpclean.release.update import amended

__all__ = ["report"]

#: Every section, in the order of the page.
SECTIONS = (
    Section("funnel", "Kept", funnel.blocks),
    Section("targets", "Targets and splits", targets.blocks),
    Section("elements", "Elements", elements.blocks),
    Section("symmetry", "Symmetry", symmetry.blocks),
    Section("bonds", "Cells and bonds", bonds.blocks),
    Section("excluded", "Excluded", excluded.blocks),
    Section("duplicates", "Duplicates", duplicates.blocks),
    Section("leakage", "Leakage", leakage.blocks),
    Section("labels", "Labels worth a look", leakage.labels),
    Section("provenance", "Provenance", provenance.blocks),
)

#: What the command needs beyond the package, by the name of the import.
_NEEDS = ("jinja2", "matplotlib")


def report(release: Release | str | Path, out: str | Path | None = None, workers: int | None = None) -> Path:
    """Make the report of a release; the command ``mpclean report``.

    Parameters
    ----------
    release
        The release, or its folder.
    out
        Folder to make. By default the folder ``report`` of the release, whose manifest then lists
        the files with their hashes; one that is there is replaced. The content hash stays.
    workers
        Processes for the audit; the number of usable cores by default.

    Returns
    -------
    The page, ``index.html``, which needs no other file and no network; figures lie beside it as PNG.

    Raises
    ------
    UserError
        If the release cannot be read, a package is missing, or `out` is there already; nothing is
        written then.

    Examples
    --------
    >>> mpclean.report("releases/demo", out="page")  # doctest: +SKIP
    PosixPath('page/index.html')
    """
    path = release.path if isinstance(release, Release) else Path(release)
    if any(find_spec(name) is None for name in _NEEDS):
        raise UserError("mpclean report needs matplotlib and Jinja2: pip install 'mpclean[report]'")
    if out is None:
        with amended(path) as amendment:
            files = amendment.release.manifest.files
            amendment.removed.update(name for name in files if name.startswith(f"{REPORT}/"))
            _write(amendment.release, amendment.folder / REPORT, workers)
        return path / REPORT / "index.html"
    opened = open_release(release)  # refuses a wrong path before anything is made beside the other
    with staging_folder(Path(out)) as staging:
        if Path(out).exists():
            raise UserError(f"{out} exists already; choose another --out")
        _write(opened, staging / REPORT, workers)
        move_into_place(staging / REPORT, Path(out))
    return Path(out) / "index.html"


def _write(release: Release, folder: Path, workers: int | None) -> None:
    (folder / "figures").mkdir(parents=True)
    context = Context(release, workers)
    sections = []
    with drawing():
        for section in tqdm(SECTIONS, desc="report", unit=" sections", disable=None):
            blocks = list(_embedded(section, context, folder / "figures"))
            if blocks:
                sections.append((section, blocks))
    html = page(release.manifest, sections)
    (folder / "index.html").write_text(html, encoding="utf-8", newline="\n")


def _embedded(section: Section, context: Context, figures: Path) -> Iterator[Block | Image]:
    """Yield the blocks of a section; figures become PNG files, and in the page SVG in a ``data:`` URI.

    An SVG that is shown as an image runs no script and fetches nothing, whatever it holds.
    """
    for block in section.blocks(context):
        if isinstance(block, Plot):
            png, svg = rendered(block.figure)
            (figures / f"{block.name}.png").write_bytes(png)
            yield Image(block, f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}")
        else:
            yield block
