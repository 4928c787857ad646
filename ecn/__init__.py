"""Equivariant crystal networks: learn properties of crystals from clean releases.

Source: Kaba & Ravanbakhsh, *Equivariant Networks for Crystal Structures*, NeurIPS 2022
(arXiv 2211.15420).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecn.data.pyg import CrystalGraphs
    from ecn.inference.predict import Predictor
    from mpclean.release import Release

__all__ = ["load", "pyg_dataset"]


def load(run: str | Path, *more: str | Path) -> Predictor:
    """Load a trained model; ``load(run).predict([structure, ...])`` gives numbers with units.

    torch is imported here, not before.

    Parameters
    ----------
    run
        Folder of a run of ``ecn fit``, name of a reference model such as ``formation-energy``, or
        ``ORG/NAME`` or ``ORG/NAME@REVISION`` on the Hugging Face Hub; see `ecn.runs.locate`.
    more
        Other runs for the same target, whose spread says how much to trust a number.

    Raises
    ------
    mpclean.errors.UserError
        If it is no run, or a damaged one, or the Hub cannot be asked.
    """
    from ecn.inference.predict import load as load_runs

    return load_runs(run, *more)


def pyg_dataset(
    release: str | Path | Release, part: str, target: str = "formation_energy", split: str | None = None
) -> CrystalGraphs:
    """A part of a release as a data set of PyTorch Geometric; see `ecn.data.pyg.CrystalGraphs`.

    torch is imported here, not before.

    Parameters
    ----------
    release
        The release, or its folder.
    part
        "train", "validation" or "test".
    target
        Name of a target of ``ecn fit --target``, or several with commas between them;
        rows without a label are left out.
    split
        Name of the split that `part` belongs to, as for ``ecn fit --split``.

    Raises
    ------
    mpclean.errors.UserError
        If there is no release, or no row with that label in the part.

    Examples
    --------
    ::

        crystals = ecn.pyg_dataset("releases/demo", "train")
        for batch in torch_geometric.loader.DataLoader(crystals, batch_size=64, shuffle=True):
            loss = mse_loss(model(batch.z, batch.edge_index, batch.edge_attr, batch.batch), batch.y[:, 0])
    """
    from ecn.data.pyg import CrystalGraphs
    from ecn.data.rows import load_part, open_release
    from ecn.targets.goal import Goal

    opened = open_release(Path(release)) if isinstance(release, str | Path) else release
    return CrystalGraphs(load_part(opened, part, Goal.named(target, opened).tasks, split=split))
