"""How figures look: one style, colours that colour-blind people can tell apart, and equal bytes each time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe & Ito, Color Universal Design (2008).
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"

INK, GREY, GRID = "#1b1f24", "#8a929b", "#e3e6ea"

#: What is kept and what is excluded, wherever both are drawn.
KEPT, EXCLUDED = BLUE, RED

#: Colour and dashes of every part of a split.
PART_STYLES = {"train": (BLUE, "-"), "validation": (ORANGE, "--"), "test": (GREEN, ":")}

#: From few to many: rising in lightness too, so that it survives a photocopy.
SEQUENTIAL = "cividis"

#: Width of a panel, inches: its text is as large as that of the page where two stand side by side,
#: and can still be read where one fills a phone.
PANEL = 4.4

#: Characters of the longest name that a figure shows in full.
LONGEST_NAME = 28

_STYLE: dict[Any, Any] = {
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 10.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    # A dollar in a name is a dollar.
    "text.parse_math": False,
    # Text as outlines looks the same on every machine; ids from a fixed salt.
    "svg.fonttype": "path",
    "svg.hashsalt": "mpclean",
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the style of reports, whatever the settings of the user are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def axes(width: float = PANEL, height: float = 2.9) -> tuple[Figure, Axes]:
    """Make a new figure with one pair of axes.

    Parameters
    ----------
    width, height
        Inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def short(name: str) -> str:
    """Shorten a name out of data to a length that leaves a figure its place."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


def whole_numbers(*axis: Axis) -> None:
    """Put ticks at a few whole numbers, written with commas."""
    from matplotlib.ticker import MaxNLocator

    for one in axis:
        one.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))
        one.set_major_formatter("{x:,.0f}")


#: What an SVG says of itself where a reader has asked for dark pages: ink and grid change places with
#: the paper, which is transparent; colours that mean something stay. A browser hands the wish of the page
#: on to the images in it. An attribute selector finds matplotlib's inline styles.
_DARK = f"""<style>@media (prefers-color-scheme: dark) {{
[style*="fill: {INK}"] {{ fill: #e6e9ed !important }}
[style*="stroke: {INK}"] {{ stroke: #e6e9ed !important }}
[style*="stroke: {GRID}"] {{ stroke: #39424c !important }}
}}</style>"""


def rendered(figure: Figure) -> tuple[bytes, bytes]:
    """Render a figure as PNG and as SVG, without a word about when or by what they were made.

    The PNG has white paper; the SVG has none, and turns dark with the page.
    """
    png = _bytes(figure, "png", dpi=200, metadata={"Software": None})
    figure.set_layout_engine("none")  # everything has its place now
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    svg = _bytes(figure, "svg", metadata=nothing, transparent=True)
    return png, svg.replace(b"<defs>", _DARK.encode() + b"<defs>", 1)


def _bytes(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()
