"""What a release knows of one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mpclean.inspection.explain.text import describe


@dataclass(frozen=True, repr=False)
class Life:
    """What a release knows of one record.

    Attributes
    ----------
    material_id
        Its id, in the form by which it is known here.
    kept
        Whether it is a row of the release; if not, it is in the ledger.
    source
        Where it came from (title, source, sha256, licence, the version stated of it), and its place.
    symmetry
        Formulas, atoms, space group as stated and as computed, Bravais type and prototype; None
        of an excluded record of which the release has no crystal.
    bonds
        Number, shortest and longest (A), coordination of each element, and topology; None
        of an excluded record.
    labels
        ``{"name", "value", "unit"}`` of every label that is known.
    verdicts
        ``{"rule", "title", "verdict", "reason", "detail"}`` of each rule, in the order of the plan;
        a verdict is passed, excluded here or never reached.
    replaced_by
        The record that was kept in its place, what is known of the exchange, and what became of that one;
        None where there is none.
    replaced
        Records that were excluded for this one, with the same columns of the ledger.
    splits
        By the name of every split of the release the part that it is in; None where it is in none.
    listed
        The part of the published list that it is on, where the release is a replay.
    namesakes
        Rows of the ledger about other records of the source with the same id.
    """

    material_id: str
    kept: bool
    source: dict[str, Any]
    symmetry: dict[str, Any] | None
    bonds: dict[str, Any] | None
    labels: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    replaced_by: dict[str, Any] | None
    replaced: list[dict[str, Any]]
    splits: dict[str, str | None]
    listed: str | None
    namesakes: list[dict[str, Any]]

    def summary(self) -> dict[str, Any]:
        """Give what ``mpclean explain --json`` prints."""
        return asdict(self)

    def __repr__(self) -> str:
        return f"Life({self.material_id!r}: {'kept' if self.kept else 'excluded'})"

    def __str__(self) -> str:
        return describe(self)
