"""What TGI's clients send. Pure."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lora_api.wrong_values import in_words

MAX_BEST_OF = 2
MAX_STOP_SEQUENCES = 4
MAX_TOP_N_TOKENS = 5
"""TGI's own limits, where nobody sets others."""
_DEFAULT_NEW_TOKENS = 100
_SEEDS = 2**63


class Invalid(ValueError):
    """A request that cannot be answered as it stands; the message says why."""


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


class Grammar(_Sent):
    """What the answer must be."""

    type: Literal["json", "regex", "json_schema"]
    value: Any


class Parameters(_Sent):
    """How to generate; null is the same as leaving a field out."""

    adapter_id: str | None = None
    best_of: Annotated[int, Field(ge=1, le=MAX_BEST_OF)] | None = None
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    typical_p: float | None = None
    do_sample: bool | None = None
    max_new_tokens: Annotated[int, Field(ge=1)] | None = None
    return_full_text: bool | None = None
    stop: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=MAX_STOP_SEQUENCES)] | None = None
    truncate: Annotated[int, Field(ge=1)] | None = None
    watermark: bool | None = None
    details: bool | None = None
    decoder_input_details: bool | None = None
    seed: Annotated[int, Field(ge=0, lt=_SEEDS)] | None = None
    top_n_tokens: Annotated[int, Field(ge=0, le=MAX_TOP_N_TOKENS)] | None = None
    grammar: Grammar | None = None

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if self.watermark:
            raise ValueError("watermark is not supported: leave it out")
        if self.typical_p not in (None, 1):
            raise ValueError("typical_p is not supported: leave it out, or use top_p")
        if self.best > 1 and not self.samples:
            raise ValueError(
                "best_of above 1 needs do_sample, temperature, top_k or top_p: greedy answers are all the same"
            )
        if self.best > 1 and self.seed is not None:
            raise ValueError("seed may not be set with best_of above 1")
        return self

    @property
    def best(self) -> int:
        """Of how many answers the best one is wanted."""
        return self.best_of or 1

    @property
    def samples(self) -> bool:
        """Whether answers are drawn; else the likeliest tokens are taken."""
        return bool(self.do_sample) or any(x is not None for x in (self.temperature, self.top_k, self.top_p))

    @property
    def new_tokens(self) -> int:
        """The longest answer."""
        return self.max_new_tokens or _DEFAULT_NEW_TOKENS

    @property
    def wants_details(self) -> bool:
        """Whether to tell of each token."""
        return bool(self.details or self.decoder_input_details)


class GenerateRequest(_Sent):
    """One question."""

    inputs: Annotated[str, Field(min_length=1)]
    # Without any parameters, TGI draws.
    parameters: Parameters = Parameters(do_sample=True)
    stream: bool | None = None
    """Only heard on `/`."""
    add_special_tokens: bool = True

    @model_validator(mode="before")
    @classmethod
    def _null_is_nothing(cls, value: Any) -> Any:
        return {name: field for name, field in value.items() if field is not None} if isinstance(value, dict) else value

    def check_stream(self) -> None:
        """Makes sure that it can be answered piece by piece.

        Raises:
            Invalid: it cannot.
        """
        if self.parameters.best > 1:
            raise Invalid("best_of above 1 cannot be streamed: the best answer is known at the end")
        if self.parameters.decoder_input_details:
            raise Invalid("decoder_input_details cannot be streamed: ask /generate")


def read(body: bytes) -> GenerateRequest:
    """The request in a body.

    Raises:
        Invalid: it is not one.
    """
    try:
        return GenerateRequest.model_validate_json(body)
    except ValidationError as error:
        raise Invalid(in_words(error)) from error
