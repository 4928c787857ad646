"""A release as a data set of PyTorch Geometric, for models that are not ours."""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.data import Dataset as GeometricDataset

from ecn.data.rows import Dataset


class CrystalGraphs(GeometricDataset):
    """Crystals of a release as `torch_geometric.data.Data`, each made when it is asked for.

    A crystal with n atoms and E directed bonds has

    - ``z`` (n,) int64, atomic numbers;
    - ``pos`` (n, 3) float32, Cartesian coordinates in the primitive cell, A;
    - ``cell`` (1, 3, 3) float32, rows a, b, c, A;
    - ``edge_index`` (2, E) int64, both directions of every bond;
    - ``edge_image`` (E, 3) float32, cell of the atom ``edge_index[1]`` relative to that of
      ``edge_index[0]``: a bond is the vector ``pos[j] + edge_image @ cell - pos[i]``;
    - ``edge_attr`` (E, 1) float32, lengths of the bonds, A;
    - ``y`` (1, T) float32, the labels in the units of the tasks, or classes 0 and 1, NaN where there is
      none; of magnetic moments (n, 1);
    - ``material_id``, as in the release.

    Parameters
    ----------
    rows
        Rows of a release with their labels.
    """

    def __init__(self, rows: Dataset) -> None:
        super().__init__()
        self._rows = rows

    def len(self) -> int:
        """Count the crystals."""
        return len(self._rows)

    def get(self, idx: int) -> Data:
        """Return the crystal at a place."""
        crystal = self._rows.crystals.batch(torch.tensor([idx]))
        return Data(
            z=crystal.atomic_numbers,
            pos=crystal.frac_coords @ crystal.lattice[0],
            cell=crystal.lattice,
            edge_index=torch.stack([crystal.edge_source, crystal.edge_target]),
            edge_image=crystal.edge_image.float(),
            edge_attr=crystal.edge_length[:, None],
            y=self._rows.labels_of(torch.tensor([idx]))[0],
            material_id=self._rows.material_ids[idx],
        )
