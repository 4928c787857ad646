"""Mistakes that a user can mend, as one clear line."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right; the command prints the message and ends with status 2.

    The message names the file, the record where there is one, and the way out.
    """


class UnfinishedError(UserError):
    """Work that came to no end for want of machines; the same command can go on with it."""
