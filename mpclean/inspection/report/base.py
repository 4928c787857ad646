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
    formulas
        Heads of the columns that hold chemical formulas, whose numbers become subscripts.
    shape
        ``half`` where something else may stand beside it, else ``full``.
    folded
        What a reader unfolds to see it, in a few words; None for a table that is seen at once.
    """

    caption: str
    head: list[str]
    rows: list[list[str]]
    words: tuple[str, ...] = ()
    formulas: tuple[str, ...] = ()
    shape: str = "full"
    folded: str | None = None
    kind: ClassVar[str] = "table"


#: Splits whose rows are seen at once; those of more splits are folded away.
FEW_SPLITS = 2


def fold_splits(rows: list[list[str]], n_splits: int) -> Iterator[tuple[list[list[str]], str | None]]:
    """Part the rows of a table into those that are seen at once and those that are folded away.

    Parameters
    ----------
    rows
        As many for each split, the split that the release was built with first.
    n_splits
        Splits of the release.

    Yields
    ------
    Rows, and the words for `Table.folded`.
    """
    if n_splits <= FEW_SPLITS + 1:  # to unfold one split takes as much room as the split
        yield rows, None
        return
    seen = FEW_SPLITS * len(rows) // n_splits
    yield rows[:seen], None
    yield rows[seen:], f"{n_splits - FEW_SPLITS} more splits ({len(rows) - seen} rows)"


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
    scene
        What can be turned in place of the figure, as `mpclean.inspection.report.scene.Scene.to_json`
        gives it; None for a figure that stays flat. Its title is a chemical formula.
    """

    name: str
    title: str
    lines: tuple[str, ...]
    alt: str
    figure: Figure
    shape: str = "panel"
    scene: str | None = None
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
        """Give width and height at which text is as large as that of the page, CSS pixels."""
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
        """Audit the release, when a section first asks for it."""
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
