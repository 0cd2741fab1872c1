"""Which of thousands of things are other ones than before, without a look at each in Python."""

from collections.abc import Mapping
from itertools import compress
from operator import is_not
from typing import TypeVar

Key = TypeVar("Key")


def differing(before: Mapping[Key, object], after: Mapping[Key, object]) -> set[Key]:
    """The keys under which there is not the same object in both: another one, or one in either alone.

    Compares objects by identity, so that equal ones may differ.
    """
    if before is after:
        return set()
    if len(before) == len(after) and list(before) == list(after):
        return set(compress(after, map(is_not, before.values(), after.values())))
    found = set(before.keys() ^ after.keys())
    both = list(before.keys() & after.keys())
    found.update(compress(both, map(is_not, map(before.__getitem__, both), map(after.__getitem__, both))))
    return found
