"""Computed entries: `ComputedStructureEntry` of pymatgen as JSON or JSON lines.

An entry is one calculation, so an id may have several: of several functionals, with and
without Hubbard U. Of each id one entry with the functional asked for is taken: one with U
before one without, as the Materials Project mixes them, then the lowest in energy. The others
are left out, each with a row in the ledger, and so are entries whose licence is not CC BY.

Entries hold total energies. Where one states no formation energy, it is that of its corrected
energy against the lowest elements among the entries taken, by `PhaseDiagram` of pymatgen; null
where an element has no entry, and for one with U but without a correction that makes it
comparable to elements without. Energies above the hull are never computed, only taken where
stated: a hull needs every competing phase, and snapshots leave some out, so that of two real
chemical systems it was up to 0.2 eV/atom too high.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpclean.sources.base import Source, batched_documents
from mpclean.sources.records import first_document, open_records
from mpclean.vocabulary.functionals import DEFAULT_FUNCTIONAL, other_functional
from mpclean.vocabulary.ids import normalise_id

if TYPE_CHECKING:
    from pymatgen.analysis.phase_diagram import PDEntry

#: Why entries are left out, in the words of the ledger.
UNREADABLE = "entry without composition or energy"
ANOTHER = "another entry of this id is taken"
OTHER_LICENCE = "licence other than CC BY"


@dataclass(frozen=True)
class _Candidate:
    """What is kept of an entry with the functional asked for until all have been seen."""

    position: int
    material_id: str
    with_u: bool
    comparable: bool
    energy: PDEntry

    @property
    def preference(self) -> tuple[bool, float, int]:
        """The smallest of an id is taken."""
        return not self.with_u, self.energy.energy_per_atom, self.position


def is_entries(path: Path) -> bool:
    """Whether the first document of a path is an entry."""
    return _is_entry(first_document(path))


def _is_entry(document: Any) -> bool:
    return isinstance(document, dict) and document.get("@class") == "ComputedStructureEntry"


def open_entries(path: Path, functional: str = DEFAULT_FUNCTIONAL) -> Source:
    """Entries as a source.

    Its batches read the files twice, first for what has to be known of all entries.

    Parameters
    ----------
    path
        A file or a folder, as `mpclean.sources.records.open_records` takes it. Documents in it
        that are no entries are handed on as they are.
    functional
        The functional to take, one of `mpclean.vocabulary.functionals.FUNCTIONALS`. Entries that
        state none are taken as they are.

    Raises
    ------
    UserError
        As `open_records` does.
    """
    records = open_records(path)
    return replace(
        records,
        identity=replace(records.identity, name="entries"),
        batches=lambda: batched_documents(_documents(records, functional)),
        parameters={"functional": functional},
    )


def _documents(records: Source, functional: str) -> Iterator[tuple[str, bytes | None, str | None]]:
    problems, energies = _survey(records, functional)
    for position, (location, document, problem) in enumerate(_rows(records)):
        if (known := _known(document)) is None:
            yield location, document, problem
            continue
        if known.get("e_form_per_atom") is None:
            known["e_form_per_atom"] = energies.get(position)
        yield location, json.dumps(known).encode(), problems.get(position)


def _rows(records: Source) -> Iterator[tuple[str, bytes | None, str | None]]:
    for batch in records.batches():
        yield from zip(*(column.to_pylist() for column in batch), strict=True)


def _known(document: bytes | None) -> dict[str, Any] | None:
    """All that an entry states, which stands in it, in its parameters and in its data; None for no entry."""
    try:
        entry = json.loads(document or b"null")
    except (ValueError, RecursionError):
        return None
    if not _is_entry(entry):
        return None
    parts = [part for part in (entry.get("data"), entry.get("parameters"), entry) if isinstance(part, dict)]
    known = {key: value for part in parts for key, value in part.items()}
    if known.get("material_id") is None and isinstance(known.get("entry_id"), str):
        known["material_id"] = known["entry_id"].removesuffix(f"-{known.get('run_type')}")
    known["correction_scheme"] = _correction_scheme(known.get("energy_adjustments"))
    return known


def _correction_scheme(adjustments: Any) -> str | None:
    """Find the class of pymatgen that corrected an energy; None for one that is as it was computed."""
    schemes = {
        str(entry["cls"]["@class"])
        for entry in (adjustments if isinstance(adjustments, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("cls"), dict) and entry["cls"].get("@class")
    }
    return ", ".join(sorted(schemes)) or None


def _survey(records: Source, functional: str) -> tuple[dict[int, str], dict[int, float]]:
    """By the positions of entries: why some are left out, and formation energies of others, eV/atom."""
    problems: dict[int, str] = {}
    candidates = []
    for position, (_, document, _) in enumerate(_rows(records)):
        if (known := _known(document)) is None:
            continue
        if known.get("license", "BY-C") != "BY-C":  # GNoME's are BY-NC
            problems[position] = OTHER_LICENCE
        elif problem := other_functional(known.get("run_type"), functional):
            problems[position] = problem
        elif candidate := _candidate(position, known):
            # Where one was normalised without the other, nobody knows what the energy is per: it is no
            # reference for others, and the reader of the document says so.
            if _is_of_its_structure(candidate, known):
                candidates.append(candidate)
        else:
            problems[position] = UNREADABLE
    taken: dict[str, _Candidate] = {}
    for candidate in sorted(candidates, key=lambda candidate: candidate.preference):
        if taken.setdefault(candidate.material_id, candidate) is not candidate:
            problems[candidate.position] = ANOTHER
    return problems, _formation_energies(taken.values())


def _candidate(position: int, known: dict[str, Any]) -> _Candidate | None:
    from pymatgen.analysis.phase_diagram import PDEntry
    from pymatgen.core import Composition

    correction = known.get("correction") or 0.0
    with_u = bool(known.get("is_hubbard"))
    try:
        energy = PDEntry(Composition(known["composition"]), float(known["energy"] + correction))
        if not math.isfinite(energy.energy_per_atom):
            return None
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    # An entry without an id is a record of its own, and `mpclean.sources.documents` says what it lacks.
    material_id = normalise_id(str(known.get("material_id") or f"entry {position}"))
    return _Candidate(position, material_id, with_u, correction != 0.0 or not with_u, energy)


def _is_of_its_structure(candidate: _Candidate, known: dict[str, Any]) -> bool:
    """Whether the composition of the energy has as many atoms as the structure, where it can be told."""
    try:
        n_sites = len(known["structure"]["sites"])
    except (KeyError, TypeError):
        return True
    return math.isclose(candidate.energy.composition.num_atoms, n_sites, rel_tol=1e-6)


def _formation_energies(taken: Iterable[_Candidate]) -> dict[int, float]:
    """Compute formation energies of the entries that have one, eV/atom."""
    from pymatgen.analysis.phase_diagram import PhaseDiagram

    comparable = [candidate for candidate in taken if candidate.comparable]
    elements = [candidate.energy for candidate in comparable if candidate.energy.is_element]
    if not elements:
        return {}
    diagram = PhaseDiagram(elements)
    known = set(diagram.elements)
    return {
        candidate.position: float(diagram.get_form_energy_per_atom(candidate.energy))
        for candidate in comparable
        if known.issuperset(candidate.energy.elements)
    }
