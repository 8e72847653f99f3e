"""The one error class for what a user can mend; everything else is a bug and is allowed to rise."""

from __future__ import annotations


class VidpercError(Exception):
    """A mistake or a circumstance that the user can act on, told in one line.

    The message says what is wrong, where, what was got, what was wanted and what to do next.
    The command line prints it as one line on stderr and exits with code 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
