"""How rows come to the device: all at once where they fit, otherwise streamed in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import psutil
import torch
from torch import Generator, Tensor

from ecn.data.rows import Dataset, Rows
from ecn.data.tensors import CrystalTensors

#: Row groups of the files that a streamed training shuffles together: at most so many are in memory.
SHUFFLED_GROUPS = 4

#: Share of the free memory that rows may take: the rest is for the passes.
_SHARE = 0.5


class Feed:
    """The rows of a split on a device, in blocks.

    Rows that are streamed come in blocks of a few row groups of the files, drawn anew for every epoch;
    they are shuffled within their block.

    Parameters
    ----------
    rows
        Where to read.
    device, dtype
        Where the rows go, and their real numbers' precision.
    prepare
        What is done once with crystals as read, see `ecn.models.base.CrystalModel.prepare`.
    streamed
        Whether to read them anew for every epoch, instead of once.
    """

    def __init__(
        self,
        rows: Rows,
        device: torch.device,
        dtype: torch.dtype,
        prepare: Callable[[CrystalTensors], CrystalTensors],
        *,
        streamed: bool,
    ) -> None:
        self.rows, self.device, self.dtype, self.prepare = rows, device, dtype, prepare
        self.resident = None if streamed else self._read()

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self, generator: Generator | None = None) -> Iterator[tuple[Dataset, Tensor]]:
        """Every row once.

        Parameters
        ----------
        generator
            Fixes their order; that of the files if left out.

        Yields
        ------
        Rows on the device, and the order to take them in.
        """
        if self.resident is not None:
            yield self.resident, _order(len(self.resident), generator).to(self.device)
            return
        for groups in _order(len(self.rows.groups), generator).split(SHUFFLED_GROUPS):
            block = self._read(groups.tolist())
            yield block, _order(len(block), generator).to(self.device)

    def _read(self, groups: Iterable[int] | None = None) -> Dataset:
        rows = self.rows.read(groups).to("cpu", self.dtype)
        return replace(rows, crystals=self.prepare(rows.crystals)).to(self.device)


def _order(n: int, generator: Generator | None) -> Tensor:
    return torch.arange(n) if generator is None else torch.randperm(n, generator=generator)


def must_stream(
    rows: Rows, n_rows: int, device: torch.device, dtype: torch.dtype, limit: float | None
) -> bool:
    """Whether rows take more memory than there is for them.

    Parameters
    ----------
    rows
        Some of the rows; the size of all is estimated from those of their first row group.
    n_rows
        How many there are in all.
    device, dtype
        Where they would go, and their real numbers' precision.
    limit
        GiB that they may take; half of what is free on the device by default.
    """
    first = rows.read([0])
    estimate = first.crystals.to("cpu", dtype).nbytes / len(first) * n_rows
    available = limit * 2**30 if limit is not None else _SHARE * _free_bytes(device)
    return estimate > available


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
