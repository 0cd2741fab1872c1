"""The operator: reconciles LoRAModels and LoRAAdapters into pods that serve exactly the declared weights."""
