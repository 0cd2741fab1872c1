"""Why children cannot be rendered."""


class RenderError(ValueError):
    """The LoRAModel asks for pods that cannot or may not exist; the message says what to change."""
