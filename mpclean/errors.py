"""Mistakes that a user can mend, as one clear line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

#: What the system says where there is no room for a file, or no larger one is allowed.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UserError(Exception):
    """Something the user can put right; the command prints the message and ends with status 2.

    The message names the file, the record where there is one, and the way out.
    """


class UnfinishedError(UserError):
    """Work that came to no end for want of machines; the same command can go on with it."""


class RecordError(UserError):
    """A record or a crystal that cannot be read.

    Attributes
    ----------
    reason
        Why, in words that do not depend on the record: the reason in the ledger.
    detail
        What was found in this one.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


def closest(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, suggest the nearest known one, and list them all.

    Parameters
    ----------
    kind
        What the name should be of, such as "target".
    name
        What was asked for.
    known
        The names that there are: of this release or this run, rather than of all that exist.

    Examples
    --------
    >>> closest("split", "formla", ["random", "formula"])
    "unknown split 'formla'; did you mean 'formula'? Known: random, formula"
    """
    names = list(known)
    near = get_close_matches(name, names, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r};{hint} {'Known' if near else 'known'}: {', '.join(names) or 'none'}"


@dataclass(frozen=True)
class Ending:
    """How a command ends that could not do its work: one line on standard error, and the exit status."""

    line: str
    status: int


def ending(error: BaseException, interrupted: str) -> Ending | None:
    """Say in one line what a person can do about an error; None for a mistake of the program.

    Both commands end by it, so that a full disk, a folder that may not be written and a lack of memory
    read the same everywhere.

    Parameters
    ----------
    error
        What ended the command.
    interrupted
        What is left when a person ends the command.
    """
    if isinstance(error, BrokenPipeError):
        return None  # the reader of our output has gone, and click knows what to do
    began, status = "Error: ", 2
    if isinstance(error, UserError):
        said = str(error)
    elif isinstance(error, OSError):
        full = error.errno in NO_ROOM
        words = os.strerror(error.errno) if full and error.errno else str(error.strerror or error)
        said = f"{error.filename}: {words}" if error.filename else words
        if full:
            said += "; what was saved before is whole"
    elif isinstance(error, MemoryError):
        said = "not enough memory; try again with fewer --workers, or on a larger machine"
    elif isinstance(error, KeyboardInterrupt):
        began, said, status = "Interrupted; ", interrupted, 130
    else:
        return None
    # The note of a worker is where it happened, over many lines: for who mends the program.
    notes = [note for note in getattr(error, "__notes__", ()) if "\n" not in note]
    return Ending(began + (" ".join((f"{said.removesuffix('.')}.", *notes)) if notes else said), status)
