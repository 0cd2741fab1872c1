"""Configurations that lie, or ask for what no engine can apply."""

from corpus.hostile import Hostile, config, config_text
from lora_api.v1alpha1.conditions import Reason

MALFORMED, UNSUPPORTED = Reason.MALFORMED_ADAPTER, Reason.UNSUPPORTED_FEATURE
FILE = "adapter_config.json"

FEATURES = tuple(
    Hostile(name, UNSUPPORTED, (f"{FILE} sets {field}", *says), config(**{field: value}))
    for name, field, value, *says in (
        ("dora", "use_dora", True, "DoRA"),
        ("trained-biases", "bias", "lora_only"),
        ("lora-bias", "lora_bias", True),
        ("modules-to-save", "modules_to_save", ["lm_head"], "lm_head"),
        ("trained-tokens", "trainable_token_indices", [5, 6]),
        ("bare-parameters", "target_parameters", ["mlp.experts.gate_up_proj"]),
        ("activated-lora", "alora_invocation_tokens", [1, 2]),
        ("replicated-layers", "layer_replication", [[0, 2], [1, 2]]),
        ("megatron", "megatron_config", {"hidden_size": 128}),
        ("qalora", "use_qalora", True),
        ("block-diagonal", "use_bdlora", {"nblocks": 2}),
        ("arrow", "arrow_config", {"top_k": 2}),
        ("monteclora", "monteclora_config", {"x": 1}),
        ("kasa", "kasa_config", {"x": 1}),
        ("pissa", "init_lora_weights", "pissa_niter_16", "path_initial_model_for_weight_conversion"),
        ("olora", "init_lora_weights", "olora"),
        ("loftq", "init_lora_weights", "loftq"),
        ("tied-adapters", "ensure_weight_tying", True),
        ("method-ia3", "peft_type", "IA3", "only LORA"),
        ("method-prompt-tuning", "peft_type", "PROMPT_TUNING", "only LORA"),
        ("method-xlora", "peft_type", "XLORA", "only LORA"),
        ("method-missing", "peft_type", None, "null"),
        ("method-of-another-type", "peft_type", {"LORA": True}),
    )
)  # fmt: skip

LIES = tuple(
    Hostile(name, MALFORMED, (FILE, field, *says), config(**{field: value}))
    for name, field, value, *says in (
        ("rank-zero", "r", 0),
        ("rank-negative", "r", -8),
        ("rank-bool", "r", True),
        ("rank-float", "r", 8.0),
        ("rank-string", "r", "8"),
        ("rank-beyond-all", "r", 10**400),
        ("rank-missing", "r", None),
        ("pattern-rank-negative", "rank_pattern", {"q_proj": -1}),
        ("pattern-no-expression", "rank_pattern", {"q_proj[": 8}),
        ("pattern-that-takes-all-memory", "rank_pattern", {"(a{9999}){9999}": 8}),
        ("pattern-that-takes-for-ever", "rank_pattern", {r"(\w|\.|[a-z])*[0-9][0-9][0-9][0-9]": 8}),
        ("pattern-of-groups-in-groups", "rank_pattern", {"(" * 85 + "a" + ")+" * 85: 8}, "repeated groups"),
        ("sixty-thousand-patterns", "rank_pattern", {f"b{i:x}": 8 for i in range(60_000)}, "60000 keys", "4096"),
        ("pattern-list", "alpha_pattern", ["q_proj"]),
        ("alpha-nan", "lora_alpha", float("nan")),
        ("alpha-infinite", "lora_alpha", float("inf")),
        ("alpha-huge", "lora_alpha", 1e300),
        ("alpha-string", "lora_alpha", "16"),
        ("alpha-bool", "lora_alpha", True),
        ("alpha-in-a-pattern-infinite", "alpha_pattern", {"q_proj": float("-inf")}),
        ("rslora-string", "use_rslora", "yes"),
        ("long-base-name", "base_model_name_or_path", "x" * 5000),
    )
)  # fmt: skip

TEXTS = (
    Hostile("config-empty", MALFORMED, (FILE, "is not JSON"), config_text("")),
    Hostile("config-half", MALFORMED, (FILE, "is not JSON"), config_text('{"peft_type": "LORA", "r": 8, ')),
    Hostile("config-a-list", MALFORMED, (FILE, "is not a JSON object"), config_text("[]")),
    Hostile("config-not-utf8", MALFORMED, (FILE, "is not JSON"), config_text(b'{"peft_type": "\xff\xfe"}')),
    Hostile("config-nested", MALFORMED, (FILE, "is not JSON"), config_text('{"r":' + "[" * 200_000)),
    Hostile(
        "config-nested-ranks",
        MALFORMED,
        (FILE, "recursion limit"),
        config_text('{"peft_type": "LORA", "r": 8, "lora_alpha": 16, "rank_pattern": ' + "[" * 900 + "]" * 900 + "}"),
    ),
    Hostile(
        "config-rank-twice", MALFORMED, (FILE, "sets r twice"),
        config_text('{"peft_type": "LORA", "lora_alpha": 16, "r": 8, "r": 64}'),
    ),
    Hostile("config-oversized", MALFORMED, (FILE, "bytes long"), config_text(" " * (2 << 20))),
    Hostile("config-long-number", MALFORMED, (FILE, "is not JSON"), config_text('{"r": ' + "9" * 100_000 + "}")),
)  # fmt: skip

CASES = FEATURES + LIES + TEXTS
