"""A command of which an argument may be a negative number."""

import re
from typing import Any

from typer.core import TyperCommand

_NEGATIVE = re.compile(r"-\.?\d.*")


class TakesNegativeNumbers(TyperCommand):
    """Else a weight of -3 would be an option; and if all that are not known were arguments, so would be mistakes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes numbers for arguments wherever they stand."""
        if "--" not in args:
            numbers = [word for word in args if _NEGATIVE.fullmatch(word)]
            if numbers:
                args = [*(word for word in args if word not in numbers), "--", *numbers]
        return super().parse_args(ctx, args)
