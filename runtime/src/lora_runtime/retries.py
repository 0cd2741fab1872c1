"""When to try again what has failed. Pure."""

_LONGEST_SECONDS = 60.0


def retry_delay(tries: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(_LONGEST_SECONDS, 2.0 ** min(tries, 10))  # two to the power of 1024 is too much for a float
