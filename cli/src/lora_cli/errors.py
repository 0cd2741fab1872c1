"""What ends a command, and with which exit status."""

from collections.abc import Mapping
from types import MappingProxyType

from lora_api.error_codes import ErrorCode

USAGE = 2
"""Exit status for a command line that makes no sense, as every Unix program has it."""
UNDECIDED = 13
"""Of `validate`, when nothing speaks against the adapter but not all could be checked from here."""
INTERRUPTED = 130

EXIT_STATUS: Mapping[ErrorCode, int] = MappingProxyType(
    {
        ErrorCode.NOT_FOUND: 3,
        ErrorCode.UNAUTHORIZED: 4,
        ErrorCode.FORBIDDEN: 5,
        ErrorCode.INVALID: 6,
        ErrorCode.CONFLICT: 7,
        ErrorCode.INCOMPATIBLE: 8,
        ErrorCode.LOAD_FAILED: 9,
        ErrorCode.OUT_OF_MEMORY: 10,
        ErrorCode.UNREACHABLE: 11,
        ErrorCode.NOT_READY: 12,
    }
)
"""Scripts depend on these: a number is given once and for ever."""


class Failed(Exception):
    """The command did not do what was asked; says what was wrong, and what to type next."""

    def __init__(self, code: ErrorCode, message: str, *, then: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.then = then

    @property
    def exit_status(self) -> int:
        """What the process ends with."""
        return EXIT_STATUS[self.code]
