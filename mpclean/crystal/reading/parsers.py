"""What parsers of other packages say while they read is a reason, in their own words."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mpclean.crystal.reading.facts import MALFORMED
from mpclean.errors import RecordError

#: The reason of a crystal that a parser warned of, in the words of the ledger.
WARNED = "parser warns"

#: Warnings about the code of a package, which say nothing of a file.
ABOUT_CODE = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning, ResourceWarning)

#: Warnings that change nothing of a crystal; `re.search` finds one of them in the message.
HARMLESS = (
    # pymatgen, POSCAR: which atoms a relaxation may move is no part of a crystal.
    r"^Ignoring selective dynamics tag, as no ionic degrees of freedom were fixed",
    # pymatgen, POSCAR: fluorine beside flags; species are read from the line of symbols alone.
    r"^Selective dynamics toggled with Fluorine element detected",
    # pymatgen, Structure.from_dict and Composition: noble gases without an electronegativity.
    r"^No Pauling electronegativity for",
)


@contextmanager
def heard(parser: str) -> Iterator[None]:
    """Turn what a parser raises or warns of into a reason.

    Parameters
    ----------
    parser
        Its name, for the message.

    Raises
    ------
    RecordError
        If the parser raised, or warned of anything that is not `HARMLESS`.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            yield
        except RecordError:
            raise
        except Exception as error:  # parsers raise whatever a file makes them raise
            # What was warned of before often is the cause, and the error only its consequence.
            words = [*_words(said), _one_line(error) or type(error).__name__]
            raise RecordError(MALFORMED, f"{parser}: {'; '.join(words)}") from error
    if words := _words(said):
        raise RecordError(WARNED, f"{parser}: {'; '.join(words)}")


def _words(said: list[warnings.WarningMessage]) -> list[str]:
    texts = [_one_line(warning.message) for warning in said if not issubclass(warning.category, ABOUT_CODE)]
    return list(dict.fromkeys(text for text in texts if not any(re.search(p, text) for p in HARMLESS)))


def _one_line(message: object) -> str:
    return f"{' '.join(str(message).split()):.300}"
