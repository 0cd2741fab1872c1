"""Files of adapters and base models on this pod: fetched, verified by digest, and published as versions."""
