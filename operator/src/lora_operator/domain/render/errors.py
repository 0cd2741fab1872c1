"""Why children cannot be rendered."""


class RenderError(ValueError):
    """The LoRAModel asks for pods that cannot exist; the message says what to change."""
