"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

#: Ending of a file that is still being written; one that is left over is worthless.
PARTIAL = ".partial"


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a reader, or a process killed at any moment, leaves the old or the new one whole.

    Parameters
    ----------
    path
        The file to make or to replace.
    write
        Called with the path of a new file beside it, which then takes its name.
    """
    partial = path.with_name(path.name + PARTIAL)
    write(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())  # the name must not be there before the bytes are
    partial.replace(path)
