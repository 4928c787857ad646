"""Equal nodes once: crystals as a model sees them, with one node for all atoms that it cannot tell apart.

`ecn.symmetry.partition` finds the classes of nodes, and says why a network cannot tell the members of one
apart. Here crystals are brought there: what the model tells bonds apart by becomes an integer for each of
them, lengths that are equal within a tolerance count as one, and what is left is a graph with one node for
each class. This is done once for a data set, not once for each epoch.

The result is exact where lengths that count as equal are equal. Where they differ, every bond has the mean
length of those that it counts as equal to, so a prediction changes as it would if each of them were moved by
at most the spread of its class (`same_length` for two bonds; a chain of n may span n - 1 times as much).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray

from ecn.data.batch import CrystalBatch
from ecn.data.tensors import CrystalTensors, starts
from ecn.symmetry.partition import Quotient, coarsest_partition, equal_lengths, quotient

#: Bonds and nodes that are partitioned together: sorting is fastest where it stays in the caches.
_AT_ONCE = 1 << 18

#: Messages that fade to parts which differ by less than this are equally faded.
_SAME_WEIGHT = 1e-6


def reduce_crystals(
    crystals: CrystalTensors, label: Callable[[CrystalBatch], CrystalBatch], same_length: float
) -> CrystalTensors:
    """Merge nodes and bonds that a model cannot tell apart.

    Parameters
    ----------
    crystals
        K crystals as read, on the device of the model.
    label
        Completes a batch by `node_label`, `edge_label` and `edge_weight`, see
        `ecn.models.base.CrystalModel.labelled`. Bonds without weight are excluded.
    same_length
        Lengths that differ by no more are equal, in A.

    Returns
    -------
    The crystals, on the same device and in the same order, labelled.
    """
    device, parts = crystals.atom_start.device, []
    for index in crystals.fill(torch.arange(len(crystals), device=device), _AT_ONCE):
        batch = label(crystals.batch(index)).to(torch.device("cpu"))
        parts.append(_as_tensors(batch, *_reduced(batch, same_length)))
    return _joined(parts).to(device)


def _reduced(batch: CrystalBatch, same_length: float) -> tuple[Quotient, NDArray, NDArray]:
    """Reduce a batch: its quotient, places of the bonds that it is made of, the class of their lengths."""
    assert batch.node_label is not None
    assert batch.edge_label is not None
    crystal, weight = batch.crystal.numpy(), batch.edge_weight.numpy()
    kept = np.flatnonzero(weight > 0.0)
    source, target = batch.edge_source.numpy()[kept], batch.edge_target.numpy()[kept]
    # Only bonds of one crystal with one label between nodes of the same two labels are compared.
    node = _codes(crystal, batch.node_label.numpy())
    group = _codes(node[source], node[target], batch.edge_label.numpy()[kept])
    length = equal_lengths(batch.edge_length.numpy()[kept], group, same_length)
    classes = length if (weight == 1.0).all() else equal_lengths(weight[kept], length, _SAME_WEIGHT)
    partition = coarsest_partition(node, source, target, classes)
    return quotient(partition, source, target, classes), kept, length


def _as_tensors(
    batch: CrystalBatch, found: Quotient, kept: NDArray[np.int64], length_class: NDArray[np.int64]
) -> CrystalTensors:
    assert batch.node_label is not None
    assert batch.edge_label is not None
    edge, first = torch.from_numpy(kept[found.edge]), torch.from_numpy(found.first)
    lengths = batch.edge_length.numpy()[kept].astype(np.float64)
    mean = np.bincount(length_class, lengths) / np.bincount(length_class).clip(1)
    node_crystal = batch.crystal[first]
    nodes, atoms, edges = (
        torch.bincount(of, minlength=batch.n_crystals)
        for of in (node_crystal, batch.crystal[batch.atom_node], batch.crystal[batch.edge_target[edge]])
    )
    node_start = starts(nodes)
    source, target = torch.from_numpy(found.source), torch.from_numpy(found.target)
    node_class = torch.from_numpy(found.node_class)[batch.atom_node]
    return CrystalTensors(
        atom_start=starts(atoms),
        node_start=node_start,
        edge_start=starts(edges),
        atom_node=(node_class - node_start[batch.crystal[batch.atom_node]]).short(),
        atomic_numbers=batch.atomic_numbers[first].to(torch.uint8),
        node_size=torch.from_numpy(found.size).short(),
        edge_source=(source - node_start[node_crystal[source]]).short(),
        edge_target=(target - node_start[node_crystal[target]]).short(),
        edge_image=batch.edge_image[edge],
        edge_length=torch.from_numpy(mean[length_class[found.edge]]).to(batch.edge_length.dtype),
        edge_area=batch.edge_area[edge],
        edge_weight=torch.from_numpy(found.count).to(batch.edge_weight.dtype) * batch.edge_weight[edge],
        lattice=batch.lattice,
        frac_coords=batch.frac_coords[first],
        bravais_lattice=batch.bravais_lattice.to(torch.uint8),
        is_hubbard=batch.is_hubbard,
        node_label=batch.node_label[first].int(),
        edge_label=batch.edge_label[edge].int(),
    )


def _joined(parts: list[CrystalTensors]) -> CrystalTensors:
    """Crystals of several tensors, one after another."""
    joined = {}
    for name in (f.name for f in fields(CrystalTensors)):
        tensors = [getattr(part, name) for part in parts]
        if name.endswith("_start"):
            joined[name] = starts(torch.cat([tensor.diff() for tensor in tensors]))
        else:
            joined[name] = torch.cat(tensors)
    return CrystalTensors(**joined)


def _codes(*columns: NDArray[np.integer]) -> NDArray[np.int64]:
    """One integer, from 0, for each different row of several columns of integers."""
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        code = np.unique(code * (1 + int(column.max(initial=0))) + column, return_inverse=True)[1]
    return code
