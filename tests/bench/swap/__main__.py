"""`python -m bench.swap`."""

from bench.swap.command import app

app()
