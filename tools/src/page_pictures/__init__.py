"""The page of `kubectl lora ui` as pictures, from a real browser, a real node and a model that talks."""
