"""The file of API keys, as a Secret holds it and a runtime mounts it: one key a line. Pure."""

_COMMENT = "#"


def keys_in(data: bytes) -> tuple[str, ...]:
    """The keys, in order; lines that are empty or begin with `#` are none.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    # Editors of Windows put a mark in front, which would make a part of the first key.
    lines = map(str.strip, data.decode("utf-8-sig").splitlines())
    return tuple(line for line in lines if line and not line.startswith(_COMMENT))
