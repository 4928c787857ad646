"""Words of sources and of strangers, one function for each medium: they are shown and never obeyed.

HTML has `html.escape`, and YAML and JSON have their own writers.
"""

from __future__ import annotations

import re

# What a cell may not begin with, and what marks one that would.
_ESCAPED = ("=", "+", "-", "@", "\t", "\r", "\n", "'")

_MARKDOWN = re.compile(r"([\\`*\[\]|!])")


def printable(text: str) -> str:
    """Write a text as one line of what can be seen.

    Line breaks, escapes that move the cursor or colour what follows, and marks that turn the direction of
    writing become the replacement character.
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def markdown(text: str) -> str:
    """Write a text as words of a line or a cell of a table in Markdown.

    What would begin a link, a picture, code or another cell is escaped, and what would begin HTML is an
    entity: the Hub shows the card of a data set as a page.
    """
    escaped = _MARKDOWN.sub(r"\\\1", printable(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def spreadsheet(text: str) -> str:
    """Write a text as a cell of a CSV that no spreadsheet takes for a formula.

    An apostrophe goes before ``=``, ``+``, ``-``, ``@`` and white space that a formula may follow
    (OWASP, "CSV Injection"), and before an apostrophe, so that `of_spreadsheet` knows what was written.
    """
    return f"'{text}" if text.startswith(_ESCAPED) else text


def of_spreadsheet(cell: str) -> str:
    """Return the text of a cell that `spreadsheet` wrote; any other cell is its own text."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_ESCAPED) else cell
