"""The machine that something was measured on, in words."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil

from mpclean.pipeline.cores import usable_cores


def hardware() -> str:
    """Processor, cores that this process may use, and memory."""
    info = Path("/proc/cpuinfo")  # of Linux; elsewhere the name of the architecture has to do
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = psutil.virtual_memory().total / 2**30
    model = names[0] if names else platform.machine()
    return f"{model}, {usable_cores()} cores, {memory:.0f} GiB"
