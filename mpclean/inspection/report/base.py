"""What a page is made of: sections, and the blocks that they yield."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from mpclean.inspection.audit import Audit, audit
from mpclean.release import Release

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Table:
    """A table; numbers are strings already, and stand at the right of their columns.

    Attributes
    ----------
    caption
        What it shows, in a sentence.
    head
        Heads of the columns.
    rows
        Cells, as long as the head each.
    words
        Heads of the columns that hold words.
    shape
        ``half`` where something else may stand beside it, else ``full``.
    """

    caption: str
    head: list[str]
    rows: list[list[str]]
    words: tuple[str, ...] = ()
    shape: str = "full"
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Plot:
    """A figure.

    Attributes
    ----------
    name
        Of its PNG file, without ending; never made from data.
    title
        What it shows, in a few words.
    lines
        Its caption: what one sees, in a sentence or two.
    alt
        The same for who cannot see it: its numbers, in short.
    figure
        The drawing.
    shape
        ``panel`` and ``half``, of which three and two stand side by side where there is room;
        ``wide``, which takes the whole width and scrolls on a phone; ``crystal``, a small one.
    """

    name: str
    title: str
    lines: tuple[str, ...]
    alt: str
    figure: Figure
    shape: str = "panel"
    kind: ClassVar[str] = "plot"


@dataclass(frozen=True)
class Image:
    """A plot as it stands in the page.

    Attributes
    ----------
    plot
        The plot.
    source
        Its SVG as a ``data:`` URI.
    """

    plot: Plot
    source: str
    kind: ClassVar[str] = "image"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height at which text is as large as that of the page, CSS pixels."""
        width, height = self.plot.figure.get_size_inches()
        return round(100 * width), round(100 * height)


Block = Text | Heading | Table | Plot


@dataclass(frozen=True)
class Context:
    """What sections are made from.

    Attributes
    ----------
    release
        The release.
    workers
        Processes for the work on crystals; None for the number of usable cores.
    """

    release: Release
    workers: int | None = None

    @cached_property
    def audit(self) -> Audit:
        """The audit of the release, done when a section first asks for it."""
        return audit(self.release, self.workers)


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    name
        Its anchor in the page.
    title
        Its heading.
    blocks
        Yields what stands in it; a section without blocks is left out.
    """

    name: str
    title: str
    blocks: Callable[[Context], Iterator[Block]]
