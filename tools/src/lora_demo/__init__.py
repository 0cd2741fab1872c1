"""The demo: a local cluster, the operator, a small model that talks, and the life of its adapters, shown."""
