"""Whether a release suits a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from mpclean.errors import UserError
from mpclean.release import Release
from mpclean.vocabulary.schema import SINCE_FORMAT

if TYPE_CHECKING:
    from ecn.runs.checkpoint import Featuriser


def require_same_bonds(release: Release, featuriser: Featuriser) -> None:
    """Refuse a release whose bonds were found with other settings than those that a model was trained on.

    Parameters
    ----------
    release
        The release to predict.
    featuriser
        Of the run, see `ecn.runs.checkpoint.Featuriser`.

    Raises
    ------
    UserError
        If the settings differ: the numbers would look like predictions and mean nothing.
    """
    theirs, ours = (
        ", ".join(f"{name} {values[name]}" for name in ("bonds", "min_area", "cutoff"))
        for values in (release.manifest.parameters.as_dict(), vars(featuriser))
    )
    if theirs != ours:
        raise UserError(
            f"{release.path}: built with other bond settings ({theirs}) than the model was trained on "
            f"({ours}); predict the snapshot that the release was built from"
        )


def require_areas(release: Release, network: nn.Module) -> None:
    """Refuse a release that does not state the areas of its faces, for a model whose messages fade with them.

    Parameters
    ----------
    release
        The release to train on or to predict.
    network
        Any model; those without the option `ModelConfig.fade_area` take every release.

    Raises
    ------
    UserError
        If it is of a format before the column ``edge_area``, and its bonds are faces.
    """
    fades = getattr(getattr(network, "config", None), "fade_area", None) is not None
    older = release.manifest.format_version < SINCE_FORMAT["edge_area"]
    if fades and older and release.manifest.parameters.as_dict()["bonds"] == "voronoi":
        raise UserError(
            f"{release.path}: format {release.manifest.format_version} states no areas of faces, and "
            "the messages of this model fade with them; build the release again, or train with "
            "--set fade_area=null"
        )
