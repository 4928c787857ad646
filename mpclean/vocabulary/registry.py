"""Things known by name: our own, and those that installed packages bring by entry points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from mpclean.errors import UserError, closest

T = TypeVar("T")


@dataclass(frozen=True)
class Registry(Generic[T]):
    """All there is of a kind, by name; a name of ours is ours.

    Attributes
    ----------
    kind
        What each is, in messages: "rule".
    group
        Entry points in which an installed package names its own, ``name = "package.module:Thing"``.
    ours
        Our own by name; where importing one takes long, its ``package.module:Thing`` instead.
    serves
        Whether what was imported under a name is one of the kind.
    expected
        What it should be, in messages: "class derived from mpclean.rules.Rule with that name".
    """

    kind: str
    group: str
    ours: Mapping[str, T | str]
    serves: Callable[[str, object], bool]
    expected: str

    def names(self) -> tuple[str, ...]:
        """Name all there are: ours in their order, then those of installed packages."""
        return (*self.ours, *sorted(_brought(self.group).keys() - self.ours.keys()))

    def find(self, name: str) -> T:
        """Find one by its name.

        Raises
        ------
        UserError
            If there is none of that name, or what a package registered is none of the kind.
        """
        if name not in self.names():
            raise UserError(closest(self.kind, name, self.names()))
        found = self.ours[name] if name in self.ours else _brought(self.group)[name]
        return self.load(name, found) if isinstance(found, str) else found

    def load(self, name: str, path: str) -> T:
        """Import one from ``package.module:Thing``.

        Raises
        ------
        UserError
            If it cannot be imported, or is none of the kind.
        """
        try:
            found = EntryPoint(name, path, self.group).load()
        except Exception as error:  # whatever the code of a package raises
            raise UserError(f"{self.kind} {name!r}: {path} cannot be imported ({error})") from error
        if not self.serves(name, found):
            raise UserError(f"{self.kind} {name!r}: {path} is no {self.expected}")
        return found


@cache
def _brought(group: str) -> dict[str, str]:
    """Paths by name that installed packages register; every one of them is looked at, so once."""
    return {point.name: point.value for point in entry_points(group=group)}
