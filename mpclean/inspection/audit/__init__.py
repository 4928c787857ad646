"""What can be held against a release: leaks of its splits, suspicious labels, energies of several kinds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mpclean.crystal.similarity.levels import LEVELS, level_keys
from mpclean.inspection.audit.labels import CHECKS, COLUMNS, suspicious
from mpclean.inspection.audit.leakage import PAIRS, Leakage, leakage
from mpclean.inspection.audit.provenance import COLUMNS as STATED
from mpclean.inspection.audit.provenance import Mixture, licences, mixtures
from mpclean.release import Release

__all__ = ["Audit", "audit", "audit_tables", "provenance_tables"]


@dataclass(frozen=True)
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
        Ids of suspicious records by check, see `mpclean.inspection.audit.labels.CHECKS`.
    """

    content_hash: str
    licences: dict[str, dict[str, int]]
    mixtures: list[Mixture]
    leakage: dict[str, Leakage]
    keeps_apart: dict[str, list[str]]
    labels: dict[str, list[str]]

    @property
    def broken(self) -> list[tuple[str, str]]:
        """Splits and levels where something leaks although the split promises otherwise."""
        return [
            (split, level)
            for split, levels in self.keeps_apart.items()
            for level in levels
            if any(counts["leaking"] for counts in self.leakage[split][level].values())
        ]

    def summary(self) -> dict[str, Any]:
        """What ``mpclean audit --json`` prints."""
        broken = [{"split": split, "level": level} for split, level in self.broken]
        return {**asdict(self), "broken": broken}


def audit(release: Release, workers: int | None = None) -> Audit:
    """Look for what can be held against a release; the command ``mpclean audit``.

    Parameters
    ----------
    release
        The release.
    workers
        Processes for the work on crystals; the number of usable cores by default.

    Raises
    ------
    UserError
        If the release cannot be read, or its files are not those of its manifest.
    """
    release.require_intact()
    manifest = release.manifest
    keys = level_keys(release, LEVELS, workers)
    more = manifest.get("more_splits", {})
    # Without duplicates by key no key is in two records, whatever the split.
    parameters = manifest["parameters"]
    always = ["key"] if "duplicate" in parameters["rules"] and parameters.get("dedup", "key") == "key" else []
    stated, labels = (
        release.table(columns=[name for name in names if name in manifest["columns"]])
        for names in (STATED, COLUMNS)
    )
    return Audit(
        content_hash=release.content_hash,
        licences=licences(stated, manifest["upstream"]["licence"]),
        mixtures=mixtures(stated, parameters),
        leakage={name: leakage(keys, release.assigned(name)) for name in release.splits},
        keeps_apart={
            name: list(dict.fromkeys([*always, *more.get(name, {}).get("keeps_apart", [])]))
            for name in release.splits
        },
        labels=suspicious(labels),
    )


def audit_tables(found: Audit) -> list[tuple[list[str], list[list[str]]]]:
    """Heads and rows of the tables of an audit: leakage by split and level, and suspicious labels."""
    leaks = []
    for split, levels in found.leakage.items():
        for level, parts in levels.items():
            promised = level in found.keeps_apart[split]
            shares = [_share(**counts) for counts in parts.values()]
            leaks.append([split, LEVELS[level].title, "yes" if promised else "", *shares])
    labels = [
        [check.title, f"{len(found.labels[check.name]):,}", ", ".join(found.labels[check.name][:3])]
        for check in CHECKS
    ]
    return [
        (
            ["split", "equal in", "kept apart", *(f"{part} to {other}" for part, other in PAIRS.values())],
            leaks,
        ),
        (["suspicious", "records", "such as"], labels),
    ]


def provenance_tables(found: Audit) -> list[tuple[list[str], list[list[str]]]]:
    """Heads and rows of the tables of what rows state: kinds of energies that are mixed, and licences."""
    mixed = [
        [mixture.title, kind, f"{count:,}", ", ".join(mixture.examples[kind])]
        for mixture in found.mixtures
        for kind, count in mixture.records.items()
    ]
    licences = [
        [name, f"{entry['records']:,}", f"{entry['stated']:,}"] for name, entry in found.licences.items()
    ]
    return [
        (["energies mix", "value", "records", "such as"], mixed),
        (["licence", "records", "stated by the record"], licences),
    ]


def _share(records: int, leaking: int) -> str:
    return f"{leaking:,} ({leaking / records:.1%})" if records else "no record"
