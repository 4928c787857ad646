"""Forward passes of a model over many crystals, within the memory of a device.

The training loop, the evaluation and the predictions all pass crystals through a model here, so that one
place decides how many edges a pass holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ecn.data.batch import CrystalBatch
from ecn.data.rows import rows_of
from ecn.data.tensors import CrystalTensors
from ecn.models.base import CrystalModel
from mpclean.errors import UserError

#: Edges of the model's own graph in one pass, by kind of device. On a CPU the tensors of a
#: pass then stay near the caches, and malloc reuses their memory instead of mapping it anew
#: (page faults): 128 crystals on the supercell take a third of their time in one pass.
_EDGES_PER_PASS = {"cpu": 8_000, "cuda": 2_000_000}


def max_edges(model: CrystalModel, device: torch.device) -> int:
    """Count the bonds and atoms of primitive cells that one pass of a model on a device may hold."""
    return _EDGES_PER_PASS.get(device.type, _EDGES_PER_PASS["cuda"]) // model.copies


class OutOfMemoryError(UserError):
    """A pass of a model does not fit in the memory of its device."""


@contextmanager
def memory_of(device: torch.device, way_out: str) -> Iterator[None]:
    """Name the way out where the work on a device does not fit in its memory.

    Parameters
    ----------
    device
        For the message.
    way_out
        What the user may do.

    Raises
    ------
    OutOfMemoryError
        If memory is what an error of torch is about.
    """
    try:
        yield
    except RuntimeError as error:
        # On a CPU it is a plain RuntimeError of the allocator.
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise OutOfMemoryError(f"not enough memory on {device}; {way_out}") from error
        raise


@contextmanager
def cpu_threads(n: int) -> Iterator[None]:
    """Let torch work with `n` CPU threads in a block, and with as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def require_device(name: str) -> None:
    """Refuse a device that this machine, or this installation of torch, does not have.

    Parameters
    ----------
    name
        Name of a torch device: "cpu", "cuda", "cuda:1", "mps".

    Raises
    ------
    UserError
        If there is no such device.
    """
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        raise UserError(no_such_device(name)) from error


def no_such_device(name: str) -> str:
    """Say that there is no device of a name, why, and which one to take instead."""
    known = ["cpu"]
    if torch.cuda.is_available():
        known.append("cuda")
    if torch.backends.mps.is_available():
        known.append("mps")
    kind = name.partition(":")[0]
    why = {
        "cuda": "no NVIDIA GPU that torch can use was found on this machine",
        "mps": "no Apple GPU that torch can use was found on this machine",
    }.get(kind, "unknown device")
    if kind in known:
        why = f"this machine has fewer devices of the kind {kind}"
    return f"--device {name}: {why}; use --device {' or --device '.join(known)}"


@torch.inference_mode()
def outputs(
    model: Callable[[CrystalBatch], Tensor],
    crystals: CrystalTensors,
    max_edges: int,
    index: Tensor | None = None,
) -> Tensor:
    """Compute the output of a model for every crystal, in their order.

    Parameters
    ----------
    model
        Called with batches.
    crystals
        K crystals.
    max_edges
        Bonds and atoms in one pass.
    index
        The crystals wanted, (K,) int64; all of them by default.

    Returns
    -------
    Tensor of shape (K,).
    """
    if index is None:
        index = torch.arange(len(crystals), device=crystals.atom_start.device)
    return torch.cat([model(crystals.batch(part)) for part in crystals.passes(index, max_edges)])


def predict_rows(
    model: CrystalModel, crystals: CrystalTensors, max_edges: int, index: Tensor | None, per_site: bool
) -> Tensor:
    """Compute the outputs of a model in the shape of labels, (R, T); see `ecn.data.rows.rows_of`."""
    crystals = model.prepare(crystals)
    return outputs(lambda batch: rows_of(model(batch), batch, per_site=per_site), crystals, max_edges, index)
