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
from mpclean.vocabulary import lists
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
CRYSTAL_COLUMNS = (*_LIST_COLUMNS, "edge_area", "bravais_lattice", "is_hubbard")


@dataclass(frozen=True, kw_only=True)
class CrystalTensors:
    """K crystals with a atoms, n nodes and E directed bonds in all, as small as their values allow.

    The tensors are those of `ecn.data.batch.CrystalBatch`, which says what each of them means. Crystal k
    has the nodes ``node_start[k]`` to ``node_start[k + 1]``, its atoms and bonds likewise.
    """

    atom_start: Tensor
    """(K + 1,) int64, where the atoms of a crystal begin."""
    node_start: Tensor
    """(K + 1,) int64, where its nodes begin: those of the atoms unless reduced."""
    edge_start: Tensor
    """(K + 1,) int64, where its bonds begin."""
    atom_node: Tensor
    """(a,) int16, numbered from 0 in every crystal, as the ends of bonds are."""
    atomic_numbers: Tensor
    """(n,) uint8."""
    node_size: Tensor
    """(n,) int16."""
    edge_source: Tensor
    """(E,) int16."""
    edge_target: Tensor
    """(E,) int16."""
    edge_image: Tensor
    """(E, 3) int8."""
    edge_length: Tensor
    """(E,) float32, in A."""
    edge_area: Tensor
    """(E,) float32, in A^2."""
    edge_weight: Tensor
    """(E,) float32."""
    lattice: Tensor
    """(K, 3, 3) float32, in A."""
    frac_coords: Tensor
    """(n, 3) float32."""
    bravais_lattice: Tensor
    """(K,) uint8."""
    is_hubbard: Tensor
    """(K,) int8."""
    node_label: Tensor | None = None
    """(n,) int32."""
    edge_label: Tensor | None = None
    """(E,) int32."""

    def __len__(self) -> int:
        return len(self.atom_start) - 1

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> CrystalTensors:
        """Bring the crystals to another device, and their real numbers to another precision."""
        tensors: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        there = {name: x for name, x in tensors.items() if x is not None}
        return CrystalTensors(**{name: moved(tensor, device, dtype) for name, tensor in there.items()})

    @property
    def nbytes(self) -> int:
        """Memory that the tensors take, in bytes."""
        tensors = (getattr(self, f.name) for f in fields(self))
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)

    def batch(self, index: Tensor) -> CrystalBatch:
        """Gather crystals.

        Parameters
        ----------
        index
            Shape (B,), int64, on the device of the tensors; in the order wanted.
        """
        nodes, crystal = ranges(self.node_start, index)
        atoms, atom_crystal = ranges(self.atom_start, index)
        edges, edge_crystal = ranges(self.edge_start, index)
        sizes = self.node_start[index + 1] - self.node_start[index]
        first_node = torch.cumsum(sizes, 0) - sizes
        of_edge = first_node[edge_crystal]
        return CrystalBatch(
            atomic_numbers=self.atomic_numbers[nodes].long(),
            crystal=crystal,
            node_size=self.node_size[nodes].long(),
            atom_node=self.atom_node[atoms] + first_node[atom_crystal],
            edge_source=self.edge_source[edges] + of_edge,
            edge_target=self.edge_target[edges] + of_edge,
            edge_image=self.edge_image[edges],
            edge_length=self.edge_length[edges],
            edge_area=self.edge_area[edges],
            edge_weight=self.edge_weight[edges],
            lattice=self.lattice[index],
            frac_coords=self.frac_coords[nodes],
            bravais_lattice=self.bravais_lattice[index].long(),
            is_hubbard=self.is_hubbard[index],
            n_crystals=len(index),
            node_label=None if self.node_label is None else self.node_label[nodes].long(),
            edge_label=None if self.edge_label is None else self.edge_label[edges].long(),
        )

    def passes(self, index: Tensor, max_edges: int) -> list[Tensor]:
        """Split a batch into consecutive parts of nearly equal numbers of bonds and nodes.

        Parameters
        ----------
        index
            Shape (B,), int64.
        max_edges
            Bonds and nodes that a part should have at most; a crystal is never split.

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
        """Split crystals into consecutive batches, each filled up to a number of bonds and nodes.

        Parameters
        ----------
        index
            Shape (B,), int64.
        max_edges
            Bonds and nodes of a batch at most; a crystal that has more is a batch of its own.

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
        """Count bonds and nodes of crystals: what their passes cost."""
        starts = self.node_start + self.edge_start
        return starts[index + 1] - starts[index]


def crystal_tensors(table: pa.Table, origin: str) -> CrystalTensors:
    """Read rows of a release as flat tensors, straight from the buffers of the Arrow lists.

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
    flat = {name: lists.flat(table.column(name)) for name in _LIST_COLUMNS}
    n_atoms, n_edges = (lists.lengths(table.column(name)) for name in ("atomic_numbers", "edge_source"))
    beyond = flat["atomic_numbers"] > N_ELEMENTS
    refuse_rows(lists.any_in_row(beyond, n_atoms), table, f"{origin}: an element outside H to Lr")
    bravais = pc.index_in(table.column("bravais_lattice"), value_set=pa.array(BRAVAIS_TYPES))
    hubbard = pc.fill_null(table.column("is_hubbard").cast(pa.int8()), -1)
    return _as_read(
        atom_start=starts(torch.from_numpy(n_atoms)),
        edge_start=starts(torch.from_numpy(n_edges)),
        atomic_numbers=torch.from_numpy(flat["atomic_numbers"].astype(np.uint8)),
        edge_source=torch.from_numpy(flat["edge_source"].astype(np.int16)),
        edge_target=torch.from_numpy(flat["edge_target"].astype(np.int16)),
        edge_image=torch.from_numpy(flat["edge_image"].astype(np.int8).reshape(-1, 3)),
        edge_length=torch.from_numpy(flat["edge_length"].astype(np.float32)),
        lattice=torch.from_numpy(flat["lattice"].astype(np.float32).reshape(-1, 3, 3)),
        frac_coords=torch.from_numpy(flat["frac_coords"].astype(np.float32).reshape(-1, 3)),
        bravais_lattice=torch.from_numpy(bravais.to_numpy().astype(np.uint8)),
        is_hubbard=torch.from_numpy(hubbard.to_numpy().astype(np.int8)),
        edge_area=_areas(table.column("edge_area"), n_edges),
    )


def cell_tensors(cells: Sequence[tuple[PrimitiveCell, BondGraph]]) -> CrystalTensors:
    """Put canonical cells with their bonds into tensors, from structures rather than from a release.

    Parameters
    ----------
    cells
        At least one cell and its bonds. Whether Hubbard U was used is not known of them.
    """
    crystals, graphs = [cell.crystal for cell, _ in cells], [graph for _, graph in cells]

    def joined(parts: list[Any], dtype: Any) -> Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(dtype))

    types = [BRAVAIS_TYPES.index(cell.bravais_lattice) for cell, _ in cells]
    return _as_read(
        atom_start=starts(torch.tensor([len(c) for c in crystals])),
        edge_start=starts(torch.tensor([len(g.source) for g in graphs])),
        atomic_numbers=joined([c.atomic_numbers for c in crystals], np.uint8),
        edge_source=joined([g.source for g in graphs], np.int16),
        edge_target=joined([g.target for g in graphs], np.int16),
        edge_image=joined([g.image for g in graphs], np.int8),
        edge_length=joined([g.length for g in graphs], np.float32),
        lattice=joined([c.lattice[None] for c in crystals], np.float32),
        frac_coords=joined([c.frac_coords for c in crystals], np.float32),
        bravais_lattice=torch.tensor(types, dtype=torch.uint8),
        is_hubbard=torch.full((len(cells),), -1, dtype=torch.int8),
        edge_area=joined(
            [np.full(len(g.source), np.inf) if g.area is None else g.area for g in graphs], np.float32
        ),
    )


def _areas(column: pa.ChunkedArray, n_edges: NDArray[np.int64]) -> Tensor:
    """Read the areas of faces; infinite in rows that have none, of a radius or of an older release."""
    areas = np.full(int(n_edges.sum()), np.inf, dtype=np.float32)
    areas[np.repeat(column.is_valid().to_numpy(), n_edges)] = lists.flat(column)
    return torch.from_numpy(areas)


def _as_read(*, atom_start: Tensor, edge_length: Tensor, **tensors: Tensor) -> CrystalTensors:
    """Complete crystals whose nodes are their atoms, and whose bonds carry a message each."""
    sizes = atom_start.diff()
    return CrystalTensors(
        atom_start=atom_start,
        node_start=atom_start,
        atom_node=(torch.arange(int(atom_start[-1])) - atom_start[:-1].repeat_interleave(sizes)).short(),
        node_size=torch.ones(int(atom_start[-1]), dtype=torch.int16),
        edge_length=edge_length,
        edge_weight=torch.ones_like(edge_length),
        **tensors,
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


def starts(lengths: Tensor) -> Tensor:
    """Find where each of consecutive parts begins, and where the last one ends: (K + 1,)."""
    return torch.cat([lengths.new_zeros(1), torch.cumsum(lengths, 0)])


def refuse_rows(bad: NDArray[np.bool_], table: pa.Table, problem: str) -> None:
    """Refuse a table with bad rows, (K,), naming how many there are and the first."""
    if bad.any():
        first = table.column("material_id")[int(np.argmax(bad))].as_py()
        raise UserError(
            f"{problem} ({int(bad.sum())} rows, first {first}); mend the source, or leave them out of it, "
            "and build again"
        )
