"""Crystals as flat tensors, and batches of them by index.

Crystals lie one after another in a few long tensors, with offsets to where each begins, and a
batch is gathered by tensor operations on the device: there is no Python object per crystal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecn.data.batch import CrystalBatch
from ecn.models.features import N_ELEMENTS
from mpclean.crystal.bravais import BRAVAIS_TYPES
from mpclean.errors import UserError
from mpclean.vocabulary.checks import require
from mpclean.vocabulary.schema import schema

if TYPE_CHECKING:
    from mpclean.crystal.bonding import BondGraph
    from mpclean.crystal.cells import PrimitiveCell

_LIST_COLUMNS = (
    *("atomic_numbers", "frac_coords", "lattice"),
    *("edge_source", "edge_target", "edge_image", "edge_length"),
)

#: Columns of a release that `crystal_tensors` reads.
CRYSTAL_COLUMNS = (*_LIST_COLUMNS, "bravais_lattice", "is_hubbard")


@dataclass(frozen=True, kw_only=True)
class CrystalTensors:
    """K crystals with n atoms and E directed bonds in all.

    Crystal k has the atoms ``atom_start[k]`` to ``atom_start[k + 1]``, its bonds likewise.
    """

    atom_start: Tensor
    """(K + 1,) int64."""
    edge_start: Tensor
    """(K + 1,) int64."""
    atomic_numbers: Tensor
    """(n,) uint8."""
    edge_source: Tensor
    """(E,) int16, numbered from 0 in every crystal."""
    edge_target: Tensor
    """(E,) int16, numbered from 0 in every crystal."""
    edge_image: Tensor
    """(E, 3) int8, unit cell of the target relative to the source's."""
    edge_length: Tensor
    """(E,) float32, in A."""
    lattice: Tensor
    """(K, 3, 3) float32, rows a1, a2, a3, in A."""
    frac_coords: Tensor
    """(n, 3) float32."""
    bravais_lattice: Tensor
    """(K,) uint8, place in `mpclean.crystal.bravais.BRAVAIS_TYPES`."""
    is_hubbard: Tensor
    """(K,) int8, -1 where it is not known."""

    def __len__(self) -> int:
        return len(self.atom_start) - 1

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> CrystalTensors:
        """The same crystals on another device, and their real numbers in another precision."""
        return CrystalTensors(**{f.name: moved(getattr(self, f.name), device, dtype) for f in fields(self)})

    def batch(self, index: Tensor) -> CrystalBatch:
        """Gather crystals.

        Parameters
        ----------
        index
            Shape (B,), int64, on the device of the tensors; in the order wanted.
        """
        atoms, crystal = ranges(self.atom_start, index)
        edges, edge_crystal = ranges(self.edge_start, index)
        sizes = self.atom_start[index + 1] - self.atom_start[index]
        first_atom = (torch.cumsum(sizes, 0) - sizes)[edge_crystal]
        return CrystalBatch(
            atomic_numbers=self.atomic_numbers[atoms].long(),
            crystal=crystal,
            edge_source=self.edge_source[edges] + first_atom,
            edge_target=self.edge_target[edges] + first_atom,
            edge_image=self.edge_image[edges],
            edge_length=self.edge_length[edges],
            lattice=self.lattice[index],
            frac_coords=self.frac_coords[atoms],
            bravais_lattice=self.bravais_lattice[index].long(),
            is_hubbard=self.is_hubbard[index],
            n_crystals=len(index),
        )

    def passes(self, index: Tensor, max_edges: int) -> list[Tensor]:
        """Split a batch into consecutive parts of nearly equal numbers of bonds and atoms.

        Parameters
        ----------
        index
            Shape (B,), int64.
        max_edges
            Bonds and atoms that a part should have at most; a crystal is never split.

        Returns
        -------
        Parts of `index`, none of them empty.
        """
        work = self._work(index)
        end = torch.cumsum(work, 0)
        total = int(end[-1])
        n_parts = -(-total // max_edges)
        part = (2 * end - work) * n_parts // (2 * total)  # by the middle of a crystal's share
        counts = torch.bincount(part, minlength=n_parts).tolist()
        return [p for p in torch.split(index, counts) if len(p)]

    def fill(self, index: Tensor, max_edges: int) -> Iterator[Tensor]:
        """Split crystals into consecutive batches, each filled up to a number of bonds and atoms.

        Parameters
        ----------
        index
            Shape (B,), int64.
        max_edges
            Bonds and atoms of a batch at most; a crystal that has more is a batch of its own.

        Yields
        ------
        Parts of `index`, none of them empty.
        """
        end = torch.cumsum(self._work(index), 0).cpu().numpy()
        start = 0
        while start < len(index):
            before = end[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(end, before + max_edges, side="right")))
            yield index[start:stop]
            start = stop

    def _work(self, index: Tensor) -> Tensor:
        """Bonds and atoms of crystals: what their passes cost."""
        starts = self.atom_start + self.edge_start
        return starts[index + 1] - starts[index]


def crystal_tensors(table: pa.Table, origin: str) -> CrystalTensors:
    """Rows of a release as flat tensors, straight from the buffers of the Arrow lists.

    Parameters
    ----------
    table
        With the columns of atoms and bonds of a release.
    origin
        What the rows are read from, for messages.

    Raises
    ------
    UserError
        If the rows are not what the schema says (lists of different lengths, a bond to an atom that
        its crystal does not have, ...), or of an element beyond `N_ELEMENTS`.
    """
    names = ["material_id", *CRYSTAL_COLUMNS]
    require(table.select(names), schema(*names), origin)
    flat = {name: pc.list_flatten(table.column(name)).to_numpy() for name in _LIST_COLUMNS}
    n_atoms, n_edges = (list_lengths(table.column(name)) for name in ("atomic_numbers", "edge_source"))
    beyond = flat["atomic_numbers"] > N_ELEMENTS
    refuse_rows(any_per_row(beyond, n_atoms), table, f"{origin}: an element outside H to Lr")
    bravais = pc.index_in(table.column("bravais_lattice"), value_set=pa.array(BRAVAIS_TYPES))
    hubbard = pc.fill_null(table.column("is_hubbard").cast(pa.int8()), -1)
    return CrystalTensors(
        atom_start=_starts(n_atoms),
        edge_start=_starts(n_edges),
        atomic_numbers=torch.from_numpy(flat["atomic_numbers"].astype(np.uint8)),
        edge_source=torch.from_numpy(flat["edge_source"].astype(np.int16)),
        edge_target=torch.from_numpy(flat["edge_target"].astype(np.int16)),
        edge_image=torch.from_numpy(flat["edge_image"].astype(np.int8).reshape(-1, 3)),
        edge_length=torch.from_numpy(flat["edge_length"].astype(np.float32)),
        lattice=torch.from_numpy(flat["lattice"].astype(np.float32).reshape(-1, 3, 3)),
        frac_coords=torch.from_numpy(flat["frac_coords"].astype(np.float32).reshape(-1, 3)),
        bravais_lattice=torch.from_numpy(bravais.to_numpy().astype(np.uint8)),
        is_hubbard=torch.from_numpy(hubbard.to_numpy().astype(np.int8)),
    )


def cell_tensors(cells: Sequence[tuple[PrimitiveCell, BondGraph]]) -> CrystalTensors:
    """Canonical cells with their bonds, from structures rather than from a release.

    Parameters
    ----------
    cells
        At least one cell and its bonds. Whether Hubbard U was used is not known of them.
    """
    crystals, graphs = [cell.crystal for cell, _ in cells], [graph for _, graph in cells]

    def starts(parts: list[Any]) -> Tensor:
        return torch.from_numpy(np.cumsum([0, *map(len, parts)], dtype=np.int64))

    def joined(parts: list[Any], dtype: Any) -> Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(dtype))

    types = [BRAVAIS_TYPES.index(cell.bravais_lattice) for cell, _ in cells]
    return CrystalTensors(
        atom_start=starts([c.atomic_numbers for c in crystals]),
        edge_start=starts([g.source for g in graphs]),
        atomic_numbers=joined([c.atomic_numbers for c in crystals], np.uint8),
        edge_source=joined([g.source for g in graphs], np.int16),
        edge_target=joined([g.target for g in graphs], np.int16),
        edge_image=joined([g.image for g in graphs], np.int8),
        edge_length=joined([g.length for g in graphs], np.float32),
        lattice=joined([c.lattice[None] for c in crystals], np.float32),
        frac_coords=joined([c.frac_coords for c in crystals], np.float32),
        bravais_lattice=torch.tensor(types, dtype=torch.uint8),
        is_hubbard=torch.full((len(cells),), -1, dtype=torch.int8),
    )


def moved(tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None) -> Tensor:
    """Move a tensor to a device, and to another precision if it holds real numbers."""
    return tensor.to(device, dtype if tensor.is_floating_point() else None)


def ranges(start: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Find the places ``start[k]`` to ``start[k + 1]`` for every k of an index, and whose they are."""
    lengths = start[index + 1] - start[index]
    owner = torch.repeat_interleave(torch.arange(len(index), device=index.device), lengths)
    first = torch.cumsum(lengths, 0) - lengths
    return torch.arange(len(owner), device=index.device) + (start[index] - first)[owner], owner


def list_lengths(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Measure the length of every list of a column."""
    return pc.list_value_length(column).to_numpy().astype(np.int64)


def _starts(lengths: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def any_per_row(flags: NDArray[np.bool_], lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell for every row of lists whether any of its flags, (sum of lengths,), is set."""
    rows = np.repeat(np.arange(len(lengths)), lengths)
    return np.bincount(rows[flags], minlength=len(lengths)) > 0


def refuse_rows(bad: NDArray[np.bool_], table: pa.Table, problem: str) -> None:
    """Refuse a table with bad rows, (K,), naming how many there are and the first."""
    if bad.any():
        first = table.column("material_id")[int(np.argmax(bad))].as_py()
        raise UserError(
            f"{problem} ({int(bad.sum())} rows, first {first}); mend the source, or leave them out of it, "
            "and build again"
        )
