"""The state of a training on disk: one file of safetensors with JSON in its header, never pickled.

It is replaced whole, so that a run killed at any moment leaves one from which the training goes on
as if it had never stopped.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ecn.runs.checkpoint import digest_of, save_tensors
from mpclean.errors import UserError

#: Beside the files of `ecn.runs.checkpoint`, while a training is not at its end.
STATE = "state.safetensors"

#: The key of a dictionary that stands for a tensor, whose name is the value.
_TENSOR = "tensor:"


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state.

    Parameters
    ----------
    path
        The file to make or to replace.
    state
        Dictionaries and lists of tensors, numbers and words, such as a ``state_dict`` is.
    """
    tensors: dict[str, Tensor] = {}
    header = json.dumps(_without_tensors(state, "", tensors))
    metadata = {"state": header, "digest": _digest(header, tensors)}
    save_tensors(path, tensors, metadata)


def load_state(path: Path) -> dict[str, Any]:
    """Read a state; keys that are whole numbers come back as such.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            metadata = file.metadata() or {}
            if metadata["digest"] != _digest(metadata["state"], tensors):
                raise ValueError("its digest does not match")
            state = _with_tensors(json.loads(metadata["state"]), tensors)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: damaged ({reason}); restore it, or train a new run") from error
    return dict(state)


def _digest(header: str, tensors: dict[str, Tensor]) -> str:
    return hashlib.sha256(f"{digest_of(tensors)} {header}".encode()).hexdigest()


def _without_tensors(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Write a value as JSON; its tensors go into `tensors` under the names that are left in their places."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()  # no two may share memory
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {str(key): _without_tensors(v, f"{name}/{key}", tensors) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(v, f"{name}/{k}", tensors) for k, v in enumerate(value)]
    return value


def _with_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_TENSOR}:
            return tensors[value[_TENSOR]]
        return {int(k) if k.isdigit() else k: _with_tensors(v, tensors) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_tensors(v, tensors) for v in value]
    return value


def derived_seed(*words: int) -> int:
    """Derive a seed from others: what is drawn with it needs no state of its own to be repeated."""
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)
