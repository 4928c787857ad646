"""Devices that train together, and the signals that end a training."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from lightning.fabric import Fabric
from tqdm.auto import tqdm

from ecn.inference.forward import no_such_device, require_device
from mpclean.errors import UserError

#: Kinds of devices that a training may be given.
_ACCELERATORS = ("auto", "cpu", "cuda", "mps")


def start_fabric(device: str, precision: Any) -> Fabric:
    """Start one device, or all that ``torchrun`` started processes for, on any number of machines.

    Parameters
    ----------
    device
        Accelerator as Fabric names it: "auto", "cpu", "cuda", "mps".
    precision
        As Fabric names it.

    Raises
    ------
    UserError
        If there is no such device.
    """
    if device not in _ACCELERATORS:
        raise UserError(f"{no_such_device(device)}, or --device auto")
    if device != "auto":
        require_device(device)
    try:
        if not torch.distributed.is_torchelastic_launched():
            return Fabric(accelerator=device, devices=1, precision=precision)
        from lightning.fabric.strategies import DDPStrategy

        n_local, n = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        # Functions of colours that no bond of a batch has get no gradient in it.
        strategy = DDPStrategy(find_unused_parameters=True)
        fabric = Fabric(
            accelerator=device,
            devices=n_local,
            num_nodes=n // n_local,
            strategy=strategy,
            precision=precision,
        )
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"--device {device}: cannot be used ({str(error).splitlines()[0]})") from error
    return fabric


def is_first() -> bool:
    """Tell whether this process writes and speaks: the only one, or the first of ``torchrun``."""
    return int(os.environ.get("RANK", 0)) == 0


def seed_draws(device: torch.device, seed: int) -> None:
    """Seed what is drawn on the CPU and on a device.

    `torch.manual_seed` does so for all kinds of devices, and notes the stack of calls for each that is not
    in use, which costs 50 times as much.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def say(line: str) -> None:
    """Tell the user, beside the progress bar."""
    if is_first():
        tqdm.write(line, file=sys.stderr)


class Stop:
    """Whether the user, or the scheduler of a cluster, asked for the end."""

    asked = False


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Note Ctrl-C and SIGTERM instead of dying of them, so that a step under way is finished and saved.

    A second Ctrl-C ends the process as usual, unless it is one of several: ``torchrun`` repeats the first.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # no other may handle signals
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop.asked and number == signal.SIGINT and "LOCAL_RANK" not in os.environ:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
