"""Which rules a build runs, with which parameters: from a version, the command line, or a file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mpclean.errors import UserError, closest
from mpclean.rules import REGISTRY, Rule
from mpclean.vocabulary.schema import BONDED, MATCHES, PREPARED

#: The rule that runs first, named or not: nothing is known of a record that cannot be read.
FIRST = "record"


@dataclass(frozen=True)
class RulePlan:
    """Rules and parameters that a file names.

    Attributes
    ----------
    rules
        Their names in order; None for those of the version.
    parameters
        By the name of the rule and of its field.
    """

    rules: tuple[str, ...] | None = None
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_plan(path: Path) -> RulePlan:
    """Read a TOML file of rules.

    ::

        rules = ["duplicate", "size"]

        [size]
        max_atoms = 100

    Raises
    ------
    UserError
        If it cannot be read, or holds anything else.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"--plan {path}: cannot be read as TOML ({error})") from error
    names = content.pop("rules", None)
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UserError(f'--plan {path}: rules must be a list of names, as in rules = ["duplicate", "size"]')
    for name, table in content.items():
        if not isinstance(table, dict):
            raise UserError(
                f"--plan {path}: {name} stands in no table; parameters of a rule are in the table of its "
                "name, as [size] with max_atoms = 100"
            )
        REGISTRY.find(name)
    return RulePlan(None if names is None else tuple(names), content)


def parse_value(text: str) -> tuple[str, Any]:
    """Read ``FIELD=VALUE`` of the command line; the value as TOML has it, or else as text.

    Raises
    ------
    UserError
        If there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UserError(f"--rule {text}: expected FIELD=VALUE, as in --rule max_atoms=100")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def choose(
    names: Iterable[str], parameters: Mapping[str, Any], plan: RulePlan | None = None
) -> tuple[Rule, ...]:
    """Make the rules of a build.

    Parameters
    ----------
    names
        Rules in the order in which they run; ``record`` comes first, named or not. Those of `plan`, if it
        names any, take their place.
    parameters
        Values by the name of a field, as ``max_atoms``, or of rule and field, as ``size.max_atoms``.
    plan
        From `read_plan`; what `parameters` says as well counts more.

    Raises
    ------
    UserError
        If a rule or a field is unknown, stands there twice, or a value is none that the field can have.
    """
    plan = plan or RulePlan()
    chosen = list(plan.rules if plan.rules is not None else names)
    chosen = [FIRST, *(name for name in chosen if name != FIRST)]
    for name in chosen:
        if chosen.count(name) > 1:
            raise UserError(f"the rule {name} is named twice; a record can be excluded by it only once")
    classes = {name: REGISTRY.find(name) for name in chosen}
    values: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    for name, given in plan.parameters.items():
        for key, value in given.items():
            values[_owner(f"{name}.{key}", classes)][key] = value
    for key, value in parameters.items():
        values[_owner(key, classes)][key.rpartition(".")[2]] = value
    return tuple(_make(kind, values[name]) for name, kind in classes.items())


def remade(names: Sequence[str], parameters: Mapping[str, Mapping[str, Any]] | None) -> tuple[Rule, ...]:
    """Make the rules that a manifest or a run records.

    Parameters
    ----------
    names
        In their order.
    parameters
        Those of each; a rule without an entry has its defaults, as in releases of older formats.

    Raises
    ------
    UserError
        If a rule is of a package that is not installed here.
    """
    return tuple(_make(REGISTRY.find(name), (parameters or {}).get(name, {})) for name in names)


def _owner(key: str, classes: Mapping[str, type[Rule]]) -> str:
    """Find the rule that a field belongs to."""
    rule, _, name = key.rpartition(".")
    found = [
        other
        for other, kind in classes.items()
        if rule in ("", other) and name in {entry.name for entry in fields(kind)}
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"--rule {key}: {' and '.join(found)} both have it; write {found[0]}.{name} or {found[1]}.{name}"
        )
    if rule and rule not in classes:
        raise UserError(f"--rule {key}: the rule {rule} does not run; this build runs {', '.join(classes)}")
    known = [entry.name for kind in classes.values() for entry in fields(kind)]
    raise UserError(f"--rule {key}: {closest('parameter', name, known)}")


def _make(kind: type[Rule], values: Mapping[str, Any]) -> Rule:
    """Return a rule from values of its fields, each checked against its type."""
    from pydantic import TypeAdapter, ValidationError  # takes a while to load

    unknown = set(kind.columns) - {*PREPARED.names, *MATCHES.names, *BONDED.names}
    if unknown:
        raise UserError(f"rule {kind.name!r}: there is no column {', '.join(sorted(unknown))} to read")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (kind.name, *first["loc"])))
        raise UserError(f"--rule {place}={first['input']}: {first['msg'].lower()}") from error
