"""Tensors that do not fit: shapes, names, missing halves, ranks, values, element types."""

import torch

from corpus.hostile import LAYER, PREFIX, Q_PROJ, V_PROJ, Damage, Hostile, config, drop, pair, put, renamed
from lora_api.v1alpha1.conditions import Reason

A, B = f"{Q_PROJ}.lora_A.weight", f"{Q_PROJ}.lora_B.weight"
MALFORMED, SHAPE, UNKNOWN = Reason.MALFORMED_ADAPTER, Reason.SHAPE_MISMATCH, Reason.UNKNOWN_MODULES
UNSUPPORTED, OTHER_BASE = Reason.UNSUPPORTED_FEATURE, Reason.BASE_MODEL_MISMATCH


def both(*damages: Damage) -> Damage:
    """One damage after the other."""
    return lambda folder: [damage(folder) for damage in damages]


def _embedding(rows: int) -> Damage:
    name = f"{PREFIX}model.embed_tokens"
    return both(
        put(f"{name}.lora_embedding_A", torch.ones(8, rows)), put(f"{name}.lora_embedding_B", torch.ones(128, 8))
    )


SHAPES = (
    Hostile("a-transposed", MALFORMED, (A, "[128, 8]", "rank 128"), put(A, torch.ones(128, 8))),
    Hostile("b-transposed", MALFORMED, (B, "[8, 128]", "rank 8 and 128"), put(B, torch.ones(8, 128))),
    Hostile("input-too-small", SHAPE, (A, "[8, 64]", "[8, 128]"), put(A, torch.ones(8, 64))),
    Hostile("input-too-large", SHAPE, (A, "[8, 256]", "[8, 128]"), put(A, torch.ones(8, 256))),
    Hostile("output-too-small", SHAPE, (B, "[64, 8]", "[128, 8]"), put(B, torch.ones(64, 8))),
    Hostile("output-too-large", SHAPE, (B, "[4096, 8]", "[128, 8]"), put(B, torch.ones(4096, 8))),
    Hostile(
        "values-as-wide-as-queries",
        SHAPE,
        (f"{V_PROJ}.lora_B.weight", "[128, 8]", "[64, 8]"),
        pair(V_PROJ, (8, 128), (128, 8)),
    ),
    Hostile("queries-as-wide-as-values", SHAPE, (B, "[64, 8]", "[128, 8]"), pair(Q_PROJ, (8, 128), (64, 8))),
    Hostile("one-dimension", MALFORMED, (A, "[1024]", "two dimensions"), put(A, torch.ones(1024))),
    Hostile("three-dimensions", MALFORMED, (A, "[8, 128, 1]", "two dimensions"), put(A, torch.ones(8, 128, 1))),
    Hostile("no-elements", MALFORMED, (A, "[0, 128]", "two dimensions"), put(A, torch.ones(0, 128))),
    Hostile("larger-vocabulary", SHAPE, ("embed_tokens.lora_embedding_A", "[8, 600]", "[8, 512]"), _embedding(600)),
    Hostile(
        "larger-saved-vocabulary",
        SHAPE,
        ("embed_tokens.base_layer.weight", "[600, 128]", "[512, 128]"),
        put(f"{PREFIX}model.embed_tokens.base_layer.weight", torch.ones(600, 128)),
    ),
    Hostile(
        "embedding-matrices-on-a-linear-layer",
        SHAPE,
        (f"{Q_PROJ}.lora_embedding_A", "an embedding", "a linear layer"),
        both(
            renamed(f"{Q_PROJ}.lora_A.weight", f"{Q_PROJ}.lora_embedding_A"),
            renamed(f"{Q_PROJ}.lora_B.weight", f"{Q_PROJ}.lora_embedding_B"),
        ),
    ),
)

NAMES = (
    Hostile(
        "layer-that-is-not-there",
        UNKNOWN,
        ("model.layers.99.self_attn.q_proj", "does not have"),
        renamed("layers.1.", "layers.99."),
    ),
    Hostile("negative-layer", UNKNOWN, ("model.layers.-1.self_attn.q_proj",), renamed("layers.1.", "layers.-1.")),
    Hostile(
        "layer-with-a-zero-before-it",
        UNKNOWN,
        ("model.layers.01.self_attn.q_proj",),
        renamed("layers.1.", "layers.01."),
    ),
    Hostile(
        "other-prefix",
        OTHER_BASE,
        ("none of its modules exist", "language_model.model.layers.0.self_attn.q_proj"),
        renamed("base_model.model.model", "base_model.model.language_model.model"),
    ),
    Hostile("no-prefix", MALFORMED, ("model.layers.", "is not a LoRA matrix"), renamed(PREFIX, "")),
    Hostile("prefix-twice", OTHER_BASE, (f"{PREFIX}{LAYER}",), renamed(PREFIX, PREFIX * 2)),
    Hostile(
        "another-architecture",
        OTHER_BASE,
        ("trained on tests/tiny-base", "transformer.h.0.self_attn.q_proj"),
        renamed("model.layers", "transformer.h"),
    ),
    Hostile(
        "module-of-another-architecture",
        UNKNOWN,
        ("model.layers.0.attn.c_attn",),
        pair(f"{PREFIX}{LAYER}.attn.c_attn", (8, 128), (384, 8)),
    ),
    Hostile(
        "fused-name-of-the-engine",
        UNKNOWN,
        ("model.layers.0.self_attn.qkv_proj",),
        pair(f"{PREFIX}{LAYER}.self_attn.qkv_proj", (8, 128), (256, 8)),
    ),
    Hostile(
        "suffix-that-the-engine-would-take",
        UNKNOWN,
        ("model.nowhere.q_proj",),
        pair(f"{PREFIX}model.nowhere.q_proj", (8, 128), (128, 8)),
    ),
    Hostile(
        "suffix-twice",
        UNKNOWN,
        (f"{LAYER}.self_attn.q_proj.lora_A.weight",),
        pair(f"{Q_PROJ}.lora_A.weight", (8, 128), (128, 8)),
    ),
    Hostile(
        "prefix-inside",
        UNKNOWN,
        (f"model.{PREFIX}layers.0.self_attn.q_proj",),
        pair(f"{PREFIX}model.{PREFIX}layers.0.self_attn.q_proj", (8, 128), (128, 8)),
    ),
    Hostile("named-adapter", MALFORMED, ("lora_A.default.weight",), renamed("lora_A.weight", "lora_A.default.weight")),
    Hostile(
        "long-name", MALFORMED, ("characters", "xxx"), put(f"{PREFIX}{'x' * 9000}.lora_A.weight", torch.ones(8, 8))
    ),
    Hostile(
        "name-with-a-line-break",
        MALFORMED,
        ("cannot be printed", r"\nERROR"),
        put(f"{PREFIX}x\nERROR all is lost.lora_A.weight", torch.ones(8, 8)),
    ),
    Hostile(
        "name-with-dots-and-slashes",
        UNKNOWN,
        ("../../etc/passwd",),
        pair(f"{PREFIX}../../etc/passwd", (8, 128), (128, 8)),
    ),
    Hostile(
        "a-norm",
        UNSUPPORTED,
        ("model.layers.0.input_layernorm", "LlamaRMSNorm"),
        pair(f"{PREFIX}{LAYER}.input_layernorm", (8, 128), (128, 8)),
    ),
    Hostile(
        "the-rotary-embedding",
        UNSUPPORTED,
        ("model.rotary_emb", "LlamaRotaryEmbedding"),
        pair(f"{PREFIX}model.rotary_emb", (8, 128), (128, 8)),
    ),
    Hostile(
        "a-whole-block",
        UNSUPPORTED,
        ("model.layers.0.mlp", "LlamaMLP"),
        pair(f"{PREFIX}{LAYER}.mlp", (8, 128), (128, 8)),
    ),
)

HALVES = (
    Hostile("no-b", MALFORMED, (A, "has no partner", "lacks its B matrix"), drop(B)),
    Hostile("no-a", MALFORMED, (B, "has no partner", "lacks its A matrix"), drop(A)),
    Hostile("a-of-one-kind-and-b-of-another", MALFORMED, ("has no partner",), renamed(A, f"{Q_PROJ}.lora_embedding_A")),
    Hostile(
        "a-dora-vector",
        UNSUPPORTED,
        ("lora_magnitude_vector", "DoRA"),
        put(f"{Q_PROJ}.lora_magnitude_vector", torch.ones(128)),
    ),
    Hostile("a-bias", UNSUPPORTED, (f"{Q_PROJ}.lora_B.bias", "bias"), put(f"{Q_PROJ}.lora_B.bias", torch.ones(128))),
    Hostile(
        "a-whole-output-layer",
        UNSUPPORTED,
        ("lm_head.weight", "whole output layer"),
        put(f"{PREFIX}lm_head.weight", torch.ones(512, 128)),
    ),
    Hostile(
        "a-stray-tensor", MALFORMED, ("optimizer.state", "is not a LoRA matrix"), put("optimizer.state", torch.ones(4))
    ),
)

RANKS = (
    Hostile("above-the-limit", Reason.RANK_TOO_LARGE, (f"{LAYER}.self_attn.q_proj", "rank 256", "maxRank"),
            both(config(rank_pattern={"layers.0.self_attn.q_proj": 256}), pair(Q_PROJ, (256, 128), (128, 256)))),
    Hostile("rank-of-the-tensors-only", MALFORMED, (A, "rank 16", "rank 8"), pair(Q_PROJ, (16, 128), (128, 16))),
    Hostile("halves-of-different-rank", MALFORMED, (A, B, "rank 4 and 8"), put(A, torch.ones(4, 128))),
    Hostile("rank-of-the-config-only", MALFORMED, (A, "rank 16"), config(r=16)),
    Hostile("a-pattern-that-lies", MALFORMED, (A, "rank 4"), config(rank_pattern={"q_proj": 4})),
)  # fmt: skip

VALUES = (
    Hostile("nan-in-a", MALFORMED, (A, "1024 values that are NaN"), put(A, torch.full((8, 128), float("nan")))),
    Hostile("infinity-in-b", MALFORMED, (B, "NaN or infinite"), put(B, torch.full((128, 8), float("inf")))),
    Hostile("minus-infinity-in-a", MALFORMED, (A, "NaN or infinite"), put(A, torch.full((8, 128), float("-inf")))),
    Hostile(
        "one-nan-in-half-precision",
        MALFORMED,
        (A, "1 values"),
        put(
            A,
            torch.ones(8, 128, dtype=torch.float16)
            .index_fill(1, torch.tensor([5]), 0)
            .where(torch.arange(1024).reshape(8, 128) != 77, torch.tensor(float("nan"), dtype=torch.float16)),
        ),
    ),
    Hostile("beyond-float32", MALFORMED, (B, "1e+300"), put(B, torch.full((128, 8), 1e300, dtype=torch.float64))),
    Hostile("beyond-every-training", MALFORMED, (A, "1e+30"), put(A, torch.full((8, 128), 1e30))),
    Hostile("below-every-training", MALFORMED, (A, "1e+30"), put(A, torch.full((8, 128), -1e30))),
)

DTYPES = tuple(
    Hostile(f"stored-as-{name.lower().replace('_', '-')}", UNSUPPORTED, (A, f"element type {name}"), put(A, tensor))
    for name, tensor in (
        ("I8", torch.ones(8, 128, dtype=torch.int8)),
        ("I64", torch.ones(8, 128, dtype=torch.int64)),
        ("U8", torch.ones(8, 128, dtype=torch.uint8)),
        ("BOOL", torch.ones(8, 128, dtype=torch.bool)),
        ("F8_E4M3", torch.ones(8, 128).to(torch.float8_e4m3fn)),
        ("F8_E5M2", torch.ones(8, 128).to(torch.float8_e5m2)),
        ("C64", torch.ones(8, 128, dtype=torch.complex64)),
    )
)  # fmt: skip

CASES = SHAPES + NAMES + HALVES + RANKS + VALUES + DTYPES
