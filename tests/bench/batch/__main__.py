"""`python -m bench.batch`."""

from bench.batch.command import app

app()
