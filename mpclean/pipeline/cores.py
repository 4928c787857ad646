"""How many cores this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Count the cores that this process may use; at least 1.

    A container or ``taskset`` may allow fewer than the machine has. Linux says which; macOS and
    Windows have no such limit, and no ``os.sched_getaffinity`` either.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
