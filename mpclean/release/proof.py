"""Whether the rows of a release bear out what its manifest, its formulas and its bonds claim.

A manifest that was sealed again after its tables were changed agrees with the bytes of its files. What it
says of the rows can still be computed from the rows, and what a row says twice can be compared: a bond
length follows from lattice, coordinates and image, a formula from the atoms.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import gcd
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.release.configurations import Counts, count
from mpclean.release.hashing import ContentDigest
from mpclean.release.layout import LEDGER
from mpclean.release.tables import target_statistics
from mpclean.vocabulary import lists
from mpclean.vocabulary.elements import SYMBOLS
from mpclean.vocabulary.labels import own_names
from mpclean.vocabulary.schema import LEDGER as LEDGER_SCHEMA
from mpclean.vocabulary.schema import PARTS

if TYPE_CHECKING:
    from mpclean.release.manifest import Manifest
    from mpclean.release.reader import Release

#: Relative and absolute (A) difference of a stored bond length from the computed one: single precision of
#: the length, and of coordinates that are rounded before they are stored.
_LENGTH_TOLERANCE = 1e-4

#: Relative difference of a mean or standard deviation: sums in another order differ in the last digits.
_STATISTIC_TOLERANCE = 1e-9


def unproven_claims(release: Release) -> Iterator[str]:
    """Yield one line for each claim of a release that its rows do not bear out.

    Parameters
    ----------
    release
        A release without structural problems (`mpclean.release.verify.structural_problems`): every table
        has its schema.
    """
    manifest = release.manifest
    digest, counts = ContentDigest(), Counts()
    wrong: Counter[str] = Counter()
    first: dict[str, str] = {}
    labels: list[pa.Table] = []
    wanted = [*manifest.statistics, "material_id", "is_insulator"]
    for part in PARTS:
        for group in release.groups(part):
            rows = group.read(manifest.columns)
            digest.update(f"data/{part}", rows)
            count(counts, part, rows, own_names(manifest.labels))
            labels.append(rows.select([name for name in dict.fromkeys(wanted) if name in manifest.columns]))
            for claim, mask in _contradictions(rows).items():
                if mask.any():
                    wrong[claim] += int(mask.sum())
                    first.setdefault(claim, rows["material_id"][int(mask.argmax())].as_py())
    for claim, n in wrong.items():
        yield f"data: {claim} ({n:,} records, first {first[claim]})"

    ledger = release.ledger().cast(LEDGER_SCHEMA)
    assigned = release.assigned(release.splits[0])
    digest.update("splits", assigned)
    digest.update("ledger", ledger)
    if digest.hexdigest() != manifest.content_hash:
        yield f"manifest.json: content_hash is not that of the rows, {digest.hexdigest()}"
    kept = pa.concat_tables(labels)
    # A second record of an id is excluded by the rule `record`, and the first may be kept.
    judged = ledger.filter(pc.not_equal(ledger["rule"], "record"))
    ids = kept["material_id"].combine_chunks()
    if both := judged["material_id"].filter(pc.is_in(judged["material_id"], value_set=ids)).to_pylist():
        yield f"{LEDGER}: {len(both):,} excluded records are in the data as well, first {both[0]}"
    yield from _wrong_numbers(manifest, kept, ledger, counts)


def _wrong_numbers(manifest: Manifest, kept: pa.Table, ledger: pa.Table, counts: Counts) -> Iterator[str]:
    """Compare the counts and statistics of a manifest with the rows that are kept and the ledger."""
    excluded = Counter(ledger["rule"].to_pylist())
    stages = {stage.name: stage for stage in manifest.stages}
    insulators = int(pc.sum(kept["is_insulator"]).as_py() or 0)
    if "insulators" in stages and stages["insulators"].kept != insulators:
        yield f"manifest.json: stage insulators: {stages['insulators'].kept:,}, of {insulators:,} in the data"
    funnel = [stage for stage in manifest.stages if stage.name != "insulators"]
    for before, stage in pairwise(funnel):
        n = excluded.pop(stage.name, 0)
        if stage.excluded != n or stage.kept != before.kept - n:
            yield (
                f"manifest.json: stage {stage.name}: {stage.kept:,} kept and {stage.excluded or 0:,} "
                f"excluded, where the ledger has {n:,} of {before.kept:,}"
            )
    if excluded:
        yield f"manifest.json: no stage is called {', '.join(sorted(excluded))}, as rules of the ledger are"
    if funnel[-1].kept != kept.num_rows:
        yield f"manifest.json: stage {funnel[-1].name}: {funnel[-1].kept:,} kept, of {kept.num_rows:,} rows"
    for name, parts in manifest.counts.items():
        for part, rows in parts.items():
            n = counts.get(name, {}).get(part, {}).get("num_examples", 0)
            if rows.num_examples != n:
                yield f"manifest.json: counts of {name}, {part}: {rows.num_examples:,}, of {n:,} in the data"
    found = target_statistics(kept, [*manifest.statistics])
    for name, said in manifest.statistics.items():
        if name not in found or not np.allclose(
            list(said.model_dump().values()),
            list(found[name].values()),
            rtol=_STATISTIC_TOLERANCE,
            atol=1e-12,
        ):
            yield f"manifest.json: statistics of {name} are not those of the rows"


def _contradictions(rows: pa.Table) -> dict[str, NDArray[np.bool_]]:
    """Find what rows say twice in different ways: for each claim a mask (N,) of the rows that break it."""
    rows = rows.combine_chunks()
    n_atoms = lists.lengths(rows["atomic_numbers"])
    atoms = lists.flat(rows["atomic_numbers"])
    crystal = lists.owners(n_atoms)
    composition = np.zeros((rows.num_rows, len(SYMBOLS)), np.int64)  # (N, Z)
    np.add.at(composition, (crystal, atoms), 1)
    present = np.split(
        np.column_stack(np.nonzero(composition)), np.cumsum((composition > 0).sum(axis=1))[:-1]
    )
    of_atoms = [_reduced(tuple((int(z), int(composition[k, z])) for k, z in pairs)) for pairs in present]
    return {
        "lengths of bonds do not follow from lattice, coordinates and images": _wrong_lengths(rows, n_atoms),
        "the number of sites is not that of the atoms": rows["nsites"].to_numpy() != n_atoms,
    } | {
        f"{name} is not that of the atoms": np.array(
            [_parsed(text) != own for text, own in zip(rows[name].to_pylist(), of_atoms, strict=True)], bool
        )
        for name in ("formula", "reduced_formula")
    }


def _wrong_lengths(rows: pa.Table, n_atoms: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask (N,) of the rows with a bond of another length than its ends and its image have."""
    n_edges = lists.lengths(rows["edge_source"])
    crystal = lists.owners(n_edges)  # (E,)
    begin = np.repeat(lists.begins(n_atoms), n_edges)  # (E,) first atom of the crystal of each edge
    lattice = lists.flat(rows["lattice"]).reshape(-1, 3, 3)
    place = lists.flat(rows["frac_coords"]).reshape(-1, 3)
    source, target = (lists.flat(rows[f"edge_{end}"]) for end in ("source", "target"))
    image = lists.flat(rows["edge_image"]).reshape(-1, 3)
    outside = np.maximum(source, target) >= np.repeat(n_atoms, n_edges)  # no such atom: told as wrong, too
    source, target = np.where(outside, 0, source), np.where(outside, 0, target)
    ends = place[begin + target] + image - place[begin + source]
    length = np.linalg.norm(np.einsum("ei,eij->ej", ends, lattice[crystal]), axis=1)
    stored = lists.flat(rows["edge_length"])
    wrong = np.zeros(rows.num_rows, bool)
    near = np.isclose(stored, length, rtol=_LENGTH_TOLERANCE, atol=_LENGTH_TOLERANCE)
    wrong[crystal[outside | ~near]] = True
    return wrong


@cache
def _parsed(text: str) -> tuple[tuple[int, int], ...]:
    """Read the atomic numbers and reduced counts of ``Na4 Cl4`` or ``NaCl``; empty for no formula."""
    parts = re.findall(r"([A-Z][a-z]?)(\d{0,9})", text)
    if "".join(symbol + n for symbol, n in parts) != text.replace(" ", ""):
        return ()
    numbers = {symbol: z for z, symbol in enumerate(SYMBOLS)}
    if any(symbol not in numbers or n == "0" for symbol, n in parts):
        return ()
    return _reduced(tuple(sorted((numbers[symbol], int(n or 1)) for symbol, n in parts)))


def _reduced(counts: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    divisor = gcd(*(n for _, n in counts)) or 1
    return tuple((z, n // divisor) for z, n in counts)
