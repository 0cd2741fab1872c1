"""`python -m bench.overhead`."""

from bench.overhead.command import app

app()
