"""A corpus of records that nobody should write and somebody will: seeded, as JSON lines, of any length."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from typing import Any

Document = dict[str, Any]

# What a mutation raises when an earlier one has taken away what it changes.
_GONE = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError)

_FACES = [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
_CUBE = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

#: Lattice vectors in units of a length in A, that length, and the sites.
_PROTOTYPES = (
    (_FACES, 2.8, (("Na", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5)))),
    (_CUBE, 4.1, (("Cs", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5)))),
    (_FACES, 2.9, (("Ti", (0, 0, 0)), ("Ni", (0.25, 0.25, 0.25)), ("Sn", (0.5, 0.5, 0.5)))),
    (
        _CUBE,
        3.9,
        (
            *(("Sr", (0, 0, 0)), ("Ti", (0.5, 0.5, 0.5))),
            *(("O", (0.5, 0.5, 0)), ("O", (0.5, 0, 0.5)), ("O", (0, 0.5, 0.5))),
        ),
    ),
)
_ELEMENTS = ("Li", "Na", "K", "Mg", "Ca", "Ti", "Fe", "Cu", "Zn", "Al", "Si", "O", "S", "F", "Cl", "N")


def records(n: int, seed: int = 0) -> Iterator[bytes]:
    """Lines of JSON lines, n of them, one a record; each differs in one to three ways from a sane one."""
    random = Random(seed)
    for number in range(n):
        sane = json.dumps(_sane(random, number))
        line = sane.encode()
        while line == sane.encode():  # a mutation may find nothing to change, or change nothing
            line = _mutated(random, json.loads(sane))
        yield line


def _mutated(random: Random, document: Document) -> bytes:
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        with suppress(*_GONE):
            random.choice(_MUTATIONS)(random, document)
    return _written(random, document)


def _sane(random: Random, number: int) -> Document:
    shape, length, sites = random.choice(_PROTOTYPES)
    length *= random.uniform(0.95, 1.05)
    swap = {symbol: random.choice(_ELEMENTS) for symbol, _ in sites}
    return {
        "material_id": f"bad-{random.randrange(number + 1) if random.random() < 0.05 else number}",
        "structure": {
            "lattice": {"matrix": [[length * x for x in row] for row in shape]},
            "sites": [
                {"species": [{"element": swap[symbol], "occu": 1}], "abc": list(abc), "properties": {}}
                for symbol, abc in sites
            ],
        },
        "formation_energy_per_atom": random.uniform(-3, 1),
        "energy_above_hull": random.uniform(0, 1),
        "efermi": random.uniform(-5, 8),
        "band_gap": random.choice((0.0, 1.5)),
        "total_magnetization": random.uniform(-2, 2),
        "is_hubbard": random.random() < 0.5,
        "symmetry": {"number": random.choice((216, 221, 225))},
    }


# ---------------------------------------------------------------- what is done to them


def _nested(depth: int) -> str:
    """Stands for a value so deep, which Python could not write; `_written` puts it in."""
    return f"nested {depth}"


def _deep_text(nested: re.Match[str]) -> str:
    levels = int(nested[1]) // 2
    return '[{"a":' * levels + "0" + "}]" * levels


def _absurd(random: Random) -> Any:
    return random.choice(
        (
            *(None, True, False, "", " ", "x", "NaN", "1e5", "None", "\ud800", "\0", "é" * 1000, "-", "[]"),
            *(0, -1, 1, 231, 2**31, 2**63, 2**64, 10**400, -(10**400), 1e308, -1e308, 5e-324, -0.0, 1e-30),
            *(float("nan"), float("inf"), float("-inf")),
            *([], {}, [[]], [None], [1, 2, 3], {"a": 1}, [[0, 0, 0]] * 3, "x" * 100_000),
            *(_nested(50), _nested(700)),
        )
    )  # fmt: skip


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    if depth > 8:
        return
    for key in (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from _places(value[key], depth + 1)


def _replace(random: Random, document: Document) -> None:
    parent, key = random.choice(list(_places(document)))
    parent[key] = _absurd(random)


def _remove(random: Random, document: Document) -> None:
    parent, key = random.choice(list(_places(document)))
    del parent[key]


def _label(random: Random, document: Document) -> None:
    labels = ("formation_energy_per_atom", "energy_above_hull", "efermi", "band_gap", "total_magnetization")
    document[random.choice((*labels, "is_hubbard", "deprecated", "run_type"))] = _absurd(random)


def _stretch(random: Random, document: Document) -> None:
    matrix = document["structure"]["lattice"]["matrix"]
    for row in random.choice(([0], [1], [0, 1], [0, 1, 2])):
        factor = 10 ** random.uniform(-9, 9) * random.choice((1, -1))
        matrix[row] = [factor * x for x in matrix[row]]


def _squash(random: Random, document: Document) -> None:
    """A cell that is a little, or very, flat or sheared."""
    matrix = document["structure"]["lattice"]["matrix"]
    i, j = random.sample(range(3), 2)
    multiple = random.choice((1, 1000, 1e6, random.uniform(-50, 50)))
    nearly = random.choice((0, 1e-12, 1e-6, 1e-3, 1))
    matrix[i] = [multiple * a + nearly * b for a, b in zip(matrix[j], matrix[i], strict=True)]


def _overlap(random: Random, document: Document) -> None:
    sites = document["structure"]["sites"]
    site = json.loads(json.dumps(random.choice(sites)))
    offset = random.choice((0, 1e-15, 1e-9, 1e-4, 0.02, 0.03, 0.05, 1, -7, 1e-300))
    site["abc"] = [x + offset for x in site["abc"]]
    sites.append(site)


def _species(random: Random, document: Document) -> None:
    site = random.choice(document["structure"]["sites"])
    symbol = random.choice(("Xx", "", "H+", "D", "na", "Uuo", "Og", "Bk", "Po", 11, None, ["Na"], "Na ", "ǅ"))
    occupancy = random.choice((1, 0.5, 0, -1, 2, float("nan"), "1", None, 1 + 1e-9, 10**400))
    site["species"] = random.choice(
        (
            [{"element": symbol, "occu": 1}],
            [{"element": "Na", "occu": occupancy}],
            [{"element": "Na", "occu": 0.5}, {"element": "K", "occu": 0.5}],
            [],
        )
    )


def _coordinates(random: Random, document: Document) -> None:
    site = random.choice(document["structure"]["sites"])
    site[random.choice(("abc", "xyz"))] = [
        random.choice((1e7, 1e15, 1e300, -0.0, 0.999999999999, 1 - 1e-16, random.uniform(-3, 3), 1e-17))
        for _ in range(random.choice((3, 3, 3, 2, 4)))
    ]


def _crowd(random: Random, document: Document) -> None:
    """Many atoms anywhere: no symmetry, large and sparse or dense."""
    count = random.choice(
        (*(2, 5, 10, 20, 30, 50, 51), *((300, 1999, 2001) if random.random() < 0.02 else ()))
    )
    edge = (count * random.choice((15.0, 20.0, 60.0, 1e3, 1e6))) ** (1 / 3)
    document["structure"] = {
        "lattice": {"matrix": [[edge * random.uniform(0.3, 3) * x for x in row] for row in _CUBE]},
        "sites": [
            {
                "species": [{"element": random.choice(_ELEMENTS)}],
                "abc": [random.random() for _ in range(3)],
                "properties": {"magmom": random.choice((0, 1.5, None))},
            }
            for _ in range(count)
        ],
    }


def _cluster(random: Random, document: Document) -> None:
    """A few atoms close together in a wide cell, whose tessellation takes a large cloud."""
    edge = random.choice((30.0, 100.0, 1000.0, 9000.0))
    document["structure"]["lattice"]["matrix"] = [[edge * x for x in row] for row in _CUBE]
    for site in document["structure"]["sites"]:
        site["abc"] = [x * 3.0 / edge for x in site["abc"]]


def _text(random: Random, document: Document) -> None:
    """The structure as text: JSON in JSON, or a CIF that is one or was."""
    text = (
        "data_x\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\n"
        "_cell_angle_beta 90\n_cell_angle_gamma 90\n_symmetry_space_group_name_H-M 'P 1'\nloop_\n"
        "_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
        "Na 0 0 0\nCl 0.5 0.5 0.5\n"
    )
    if random.random() < 0.5:
        text = json.dumps(document["structure"])
    for _ in range(random.choice((0, 1, 3))):
        place = random.randrange(len(text))
        text = text[:place] + random.choice(("", "9", "-", "\n", "?", "'", "é", " ", "{")) + text[place + 1 :]
    document["structure"] = text


def _deep(random: Random, document: Document) -> None:
    keys = ("structure", "symmetry", "builder_meta", "database_version", "extra", "material_id")
    document[random.choice(keys)] = _nested(random.choice((20, 400, 990, 1000, 1010, 1020, 1100)))


_MUTATIONS: tuple[Callable[[Random, Document], None], ...] = (
    *(_replace, _replace, _replace, _remove, _label, _label, _stretch, _stretch, _squash, _squash),
    *(_overlap, _species, _species, _coordinates, _crowd, _cluster, _text, _deep),
)


def _written(random: Random, document: Document) -> bytes:
    """The document as a line, which now and then is damaged as a text."""
    text = re.sub('"nested ([0-9]+)"', _deep_text, json.dumps(document))
    line = text.encode()
    damage = random.random()
    if damage < 0.02:
        line = line[: random.randrange(1, len(line))]
    elif damage < 0.04:
        changed = bytearray(line)
        for _ in range(random.randrange(1, 5)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        line = bytes(changed)
    elif damage < 0.05:
        line = text.encode(random.choice(("utf-16", "utf-8-sig", "utf-32")))
    elif damage < 0.06:
        line = text.replace("Na", "é").encode("latin-1", errors="replace")
    elif damage < 0.065:
        line = random.choice((b"[" * 100_000, b'{"a":' * 100_000, b"null", b"1", b'"x"', b"[]", b"\0\0\0"))
    return line.replace(b"\n", b" ").replace(b"\r", b" ").strip() or b"{}"
