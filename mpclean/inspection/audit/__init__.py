"""What can be held against a release: leaks of its splits, suspicious labels, energies of several kinds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpclean.crystal.similarity.levels import LEVELS, level_keys
from mpclean.inspection.audit.labels import COLUMNS, Suspicion, own_labels, suspicious
from mpclean.inspection.audit.leakage import PAIRS, Leakage, leakage
from mpclean.inspection.audit.provenance import COLUMNS as STATED
from mpclean.inspection.audit.provenance import Mixture, licences, mixtures
from mpclean.inspection.audit.tables import tables
from mpclean.release import Release, open_release
from mpclean.release.tables import render

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Audit", "audit"]


@dataclass(frozen=True, repr=False)
class Audit:
    """What was found in a release.

    Attributes
    ----------
    content_hash
        Of the release.
    licences
        Records by licence, see `mpclean.inspection.audit.provenance.licences`.
    mixtures
        In what ways formation energies are of several kinds, see
        `mpclean.inspection.audit.provenance.mixtures`.
    leakage
        By split and level, see `mpclean.inspection.audit.leakage.leakage`.
    keeps_apart
        By split the levels at which it promises that nothing leaks.
    labels
        What every check of the labels found, see `mpclean.inspection.audit.labels`; of the release's own
        labels outliers.
    """

    content_hash: str
    licences: dict[str, dict[str, int]]
    mixtures: list[Mixture]
    leakage: dict[str, Leakage]
    keeps_apart: dict[str, list[str]]
    labels: list[Suspicion]

    @property
    def broken(self) -> list[tuple[str, str]]:
        """List splits and levels where something leaks although the split promises otherwise."""
        return [
            (split, level)
            for split, levels in self.keeps_apart.items()
            for level in levels
            if any(counts["leaking"] for counts in self.leakage[split][level].values())
        ]

    def summary(self) -> dict[str, Any]:
        """Give what ``mpclean audit --json`` prints."""
        broken = [{"split": split, "level": level} for split, level in self.broken]
        return {**asdict(self), "broken": broken}

    def to_pandas(self) -> pd.DataFrame:
        """Give the leakage as a data frame: split, level, part, other part, records, leaking, promised.

        ``leaking`` counts the records of ``part`` that have an equal one, at the level, in ``other``.
        """
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "split": split,
                    "level": level,
                    "part": PAIRS[pair][0],
                    "other": PAIRS[pair][1],
                    **counts,
                    "promised": level in self.keeps_apart[split],
                }
                for split, levels in self.leakage.items()
                for level, pairs in levels.items()
                for pair, counts in pairs.items()
            ]
        )

    def __repr__(self) -> str:
        suspects = len({name for found in self.labels for name in found.material_ids})
        return (
            f"Audit({self.content_hash[:8]}: {len(self.leakage)} splits, {len(self.broken)} broken promises, "
            f"{suspects:,} records with suspicious labels)"
        )

    def _repr_html_(self) -> str:
        return "\n".join(render(table, "html") for table in tables(self))


def audit(release: Release | str | Path, workers: int | None = None) -> Audit:
    """Look for what can be held against a release; the command ``mpclean audit``.

    Parameters
    ----------
    release
        The release, or its folder.
    workers
        Processes for the work on crystals; the number of usable cores by default.

    Raises
    ------
    UserError
        If the release cannot be read, or its files are not those of its manifest.

    Examples
    --------
    >>> found = mpclean.audit("releases/demo")  # doctest: +SKIP
    >>> found.leakage["random"]["prototype"]["test"]  # doctest: +SKIP
    {'records': 246, 'leaking': 244}
    """
    release = open_release(release)
    release.require_intact()
    manifest = release.manifest
    keys = level_keys(release, LEVELS, workers)
    more = manifest.more_splits
    # Without duplicates by key no key is in two records, whatever the split.
    parameters = manifest.parameters
    always = ["key"] if "duplicate" in parameters.rules and parameters.dedup == "key" else []
    own = own_labels(release.labels)
    stated, labels = (
        release.table(columns=[name for name in names if name in manifest.columns])
        for names in (STATED, (*COLUMNS, *(label.name for label in own)))
    )
    return Audit(
        content_hash=release.content_hash,
        licences=licences(stated, manifest.upstream.licence),
        mixtures=mixtures(stated, parameters.as_dict().get("hull")),
        leakage={name: leakage(keys, release.assigned(name)) for name in release.splits},
        keeps_apart={
            name: list(dict.fromkeys([*always, *(more[name].keeps_apart if name in more else ())]))
            for name in release.splits
        },
        labels=suspicious(labels, own),
    )
