"""`python -m bench.scale`."""

from bench.scale.command import app

app()
