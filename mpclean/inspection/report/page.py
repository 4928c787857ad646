"""The page itself: one HTML file with its styles, script and pictures, which needs no network."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING

from mpclean.inspection.report.base import Block, Image, Section
from mpclean.release.manifest import Manifest

if TYPE_CHECKING:
    from markupsafe import Markup

#: Ids that have a page of their own on the Materials Project.
_MATERIALS_PROJECT_ID = re.compile(r"(?<![\w-])((?:mp|mvc)-\d+)(?![\w-])")

_PAGE_OF_A_MATERIAL = "https://next-gen.materialsproject.org/materials/"

#: What looks like a formula as a whole: no word, no space group and no id does.
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*|\(|\)\d*)+")


def marked(text: str, links: bool) -> Markup:
    """Escape a text, and link the ids in it to their pages on the Materials Project.

    Parameters
    ----------
    text
        Any text of a release, a stranger's included.
    links
        Whether its ids are those of the Materials Project.
    """
    from markupsafe import Markup, escape

    if not links:
        return escape(text)
    # Every second piece is an id and so letters, digits and a hyphen; the others are escaped.
    pieces = _MATERIALS_PROJECT_ID.split(str(text))
    return Markup("").join(
        Markup('<a href="{0}{1}" rel="noopener noreferrer">{1}</a>').format(_PAGE_OF_A_MATERIAL, piece)
        if k % 2
        else escape(piece)
        for k, piece in enumerate(pieces)
    )


def subscripted(text: str) -> Markup:
    """Escape a text, and set the numbers of the chemical formulas in it as subscripts."""
    from markupsafe import Markup, escape

    words = re.split(r"([\s,;]+)", str(text))
    return Markup("").join(
        Markup("").join(
            Markup("<sub>{}</sub>").format(piece) if k % 2 else escape(piece)
            for k, piece in enumerate(re.split(r"(\d+)", word))
        )
        if _FORMULA.fullmatch(word)
        else escape(word)
        for word in words
    )


def page(manifest: Manifest, sections: list[tuple[Section, list[Block | Image]]]) -> str:
    """Render the HTML of a report.

    Every string of a release goes through Jinja2's escaping. The page's own script is named by its hash in
    the content security policy, so that no other one runs, whatever a release holds.

    Parameters
    ----------
    manifest
        Of the release.
    sections
        Those that have blocks, in the order of the page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("mpclean.inspection", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"marked": marked, "subscripted": subscripted}
    folder = files("mpclean.inspection.report")
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in ("page.js", "crystal_view.js"))
    read, kept = manifest.stages[0].kept, sum(manifest.splits.values())
    key = [
        ("records read", f"{read:,}"),
        ("crystals kept", f"{kept:,}"),
        ("of those read", f"{kept / read:.1%}"),
        ("splits", f"{1 + len(manifest.more_splits)}"),
        ("targets", f"{len(manifest.statistics)}"),
    ]
    return environment.get_template("page.html").render(
        manifest=manifest,
        sections=sections,
        key=key,
        title=f"{manifest.name} {manifest.release_version}: report",
        links=not manifest.upstream.synthetic,
        style=Markup((folder / "page.css").read_text(encoding="utf-8")),  # noqa: S704  ours
        script=Markup(script),  # noqa: S704  ours
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
