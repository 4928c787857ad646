"""Mistakes that a user can mend."""

from __future__ import annotations

from mpclean.errors import UserError

__all__ = ["UserError"]
