"""Mistakes that a user can mend."""

from __future__ import annotations

from mpclean.errors import UserError

__all__ = ["OutOfMemoryError", "UserError"]


class OutOfMemoryError(UserError):
    """A pass of a model does not fit in the memory of its device."""
