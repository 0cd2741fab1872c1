"""The engine behind a small protocol. docs/architecture.md names the few files that know vLLM's internals."""
