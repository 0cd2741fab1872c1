"""`python -m bench.control`."""

from bench.control.command import app

app()
