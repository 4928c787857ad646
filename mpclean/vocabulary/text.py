"""Words of sources and of strangers on a terminal, which is to show them and never to obey them."""

from __future__ import annotations


def printable(text: str) -> str:
    """Write a text as one line of what can be seen.

    Line breaks, escapes that move the cursor or colour what follows, and marks that turn the direction of
    writing become the replacement character.
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
