"""What Prometheus can read about the runtime, beside vLLM's own series. Observes; decides nothing.

Whatever the inventory knows is read from it when Prometheus asks (`inventory.py`), so that there is no second copy.
"""
