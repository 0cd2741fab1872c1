"""`python -m bench.xlora`."""

from bench.xlora.command import app

app()
