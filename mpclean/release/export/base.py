"""What a writer takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mpclean.crystal.crystal import Crystal

#: Crystals one by one, each with its id and labels, as `Release.crystals` gives them.
Entries = Iterator[tuple[Crystal, dict[str, Any]]]
