"""The mixture as model classes of vLLM; nothing of vLLM is patched.

One forward runs the decoder twice over the same weights: first as the base model, of whose last hidden state the classifier
makes each token's scalings, then with the experts added by these scalings. Each run has attention layers, and so KV caches, of
its own, which vLLM allocates under one block table: chunked prefill, prefix cache, batching and preemption need nothing of us.
"""
