"""Both commands end in one line, and with a status that is not zero, where the system refuses."""

import errno

import pytest

from mpclean.errors import UserError, ending


@pytest.mark.parametrize(
    ("error", "line", "status"),
    [
        (UserError("say so"), "Error: say so", 2),
        (PermissionError(errno.EACCES, "Permission denied", "x/y"), "Error: x/y: Permission denied", 2),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "Error: No space left on device; what was saved before is whole",
            2,
        ),
        (MemoryError(), "Error: not enough memory", 2),
        (KeyboardInterrupt(), "Interrupted; what is left", 130),
    ],
)
def test_what_a_person_can_mend(error, line, status):
    end = ending(error, "what is left")
    assert end.line.startswith(line)
    assert end.status == status
    assert "\n" not in end.line


@pytest.mark.parametrize("error", [ValueError("a mistake of the program"), BrokenPipeError()])
def test_what_is_not_for_a_person_goes_on(error):
    assert ending(error, "") is None


def test_notes_of_one_line_follow():
    error = OSError(errno.ENOSPC, "No space left on device")
    error.add_note("3 finished batches are kept.")
    error.add_note("Traceback of a worker:\n  of many lines")
    assert ending(error, "").line.endswith("is whole. 3 finished batches are kept.")
