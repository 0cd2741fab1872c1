"""The one error that callers of this package need to catch."""


class ImageError(Exception):
    """Something a person has to know about; the message says what was wrong, where, and what to do."""
