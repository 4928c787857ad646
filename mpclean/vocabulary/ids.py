"""Ids of the Materials Project in one form.

Ids were numeric (``mp-149``) and are being replaced by alphabetical ones that count in base
26 (``mp-ft``, a = 0, padded on the left with a: ``mp-aaaaaaft``). Numbers up to
`LAST_NUMERIC` have both forms; here the numeric one is used wherever it exists.
"""

from __future__ import annotations

import re

#: Keys of a document that may hold its id, the first that does counts; their values are text as written.
ID_KEYS = ("material_id", "task_id", "immutable_id")

#: The largest number that was given out as a numeric id.
LAST_NUMERIC = 3_347_529

_ALPHABETICAL = re.compile(r"(mp)-([a-z]+)")


def normalise_id(text: str) -> str:
    """Bring an id into the form by which records are known here.

    Parameters
    ----------
    text
        ``mp-149``, ``mp-ft``, ``mp-aaaaaaft``, ``mvc-12`` or any other id; other ids and
        alphabetical ones beyond `LAST_NUMERIC` stay as they are, without padding.
    """
    match = _ALPHABETICAL.fullmatch(text)
    if match is None:
        return text
    prefix, letters = match.groups()
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("a")
    return f"{prefix}-{number}" if number <= LAST_NUMERIC else f"{prefix}-{letters.lstrip('a')}"
