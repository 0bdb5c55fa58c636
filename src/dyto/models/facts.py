"""Facts about the models with short names: sizes, contexts, dates, terms, and their sources.

Sizes are counted from the shapes in the real configs (`tools/bench/scripts/bench_memory.py`), contexts are what a
config.json says unless its makers say less, and each row names the public source of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

FRAMES, TOKENS, WORDS = 100, 3680, 100
"""Frames for the tower, visual tokens for the language model (the published budget), and words in addition."""

ROOM_GB = 1.5
"""GB in addition to weights, keys and values: activations while the tower encodes, and the runtime itself."""


LARGE = 2 << 30
"""Size of float32 weights, in bytes, above which they are loaded in bfloat16 on a CPU too."""


@dataclass(frozen=True)
class Facts:
    """One model.

    Attributes:
        weights: Number of all weights, in billions.
        text: Weights of the language model that each token passes, in billions; only the active experts count.
        vision: Weights of tower and projector that each patch passes, in billions.
        patches: Patches of one frame in the tower; the maximum if it depends on the frame.
        kept: GB of keys and values of `TOKENS` tokens in 16 bits.
        context: Tokens for which it was trained, according to its makers.
        published: Year and month; the year alone if the month is unknown.
        source: Source of date, licence and context, and which of them no public source that we could read confirms.
        terms: Limits on its use in addition to the licence; "" for none known.
        stated: Tokens that its config.json allows, if more than it was trained for; otherwise 0.
    """

    weights: float
    text: float
    vision: float
    patches: int
    kept: float
    context: int
    published: str
    source: str
    terms: str = ""
    stated: int = 0

    def memory(self, bits: int) -> float:
        """Return the GB that the model needs with the published budget.

        Args:
            bits: Bits per number, 32 or 16.

        Example:
            >>> round(FACTS["llava-next-vicuna-7b"].memory(16), 1)
            17.6
        """
        return self.weights * bits / 8 + self.kept * bits / 16 + ROOM_GB

    @property
    def operations(self) -> float:
        """Tera-operations for the first word of an answer about 100 frames: two for each weight that a token passes.

        Example:
            >>> 80 < FACTS["llava-next-vicuna-7b"].operations < 90
            True
        """
        return 2 * (self.vision * self.patches * FRAMES + self.text * (TOKENS + WORDS)) / 1000


CLIP, SIGLIP, INTERN, SIGLIP_B = 577, 729, 1025, 1024
"""Patches of a frame, with CLS: 336 pixels by 14, 384 by 14, 448 by 14, 512 by 16."""

GEMMA, QWEN = 4096, 3072
"""896 pixels by 14; and four patches for each of at most 768 tokens per frame of a Qwen."""

_LLAVA_TERMS = (
    "trained on outputs of OpenAI's models and on research data: its makers ask users to keep to those terms, which "
    "limit commercial use"
)
_NEWS = "LLaVA-VL/LLaVA-NeXT, README: Release Notes"
_LLAVA = "haotian-liu/LLaVA, README: Usage and License Notices"
_NEXT = (
    f"{_NEWS} (2024-01-30); {_LLAVA}; huggingface.co/liuhaotian/llava-v1.6-mistral-7b, licence tag (apache-2.0); "
    "not confirmed: the licence of the 34B weights"
)
_LLAVA_15 = (
    f"{_NEWS} (2023-10-05); {_LLAVA}; huggingface.co/Mozilla/llava-v1.5-7b-llamafile, a copy of its card (Llama 2)"
)
_NEXT_VIDEO = (
    "huggingface.co/llava-hf/LLaVA-NeXT-Video-7B-hf, licence tag (llama2), trained in April 2024; "
    f"{_NEWS}: announced on 2024-05-10"
)
_ONE = f"arXiv 2408.03326; {_NEWS} (2024-08-06); not confirmed: the licence tags of these weights"
_VIDEO = (
    f"arXiv 2410.02713; {_NEWS} (2024-10-04); huggingface.co/lmms-lab/LLaVA-Video-7B-Qwen2-Video-Only, licence tag "
    "(apache-2.0); not confirmed: the tag of these weights themselves"
)
_QWEN25 = (
    "arXiv 2502.13923; QwenLM/Qwen3-VL, README: News (2025-01-28); config.json says 128000, an earlier copy "
    "(unsloth/Qwen2.5-VL-7B-Instruct) 32768; huggingface.co/Qwen/Qwen2.5-VL-3B-Instruct/discussions/12 for the licence "
    "of 3B"
)
_QWEN3 = (
    "arXiv 2511.21631; QwenLM/Qwen3-VL, README: News (2025-10-04 to 2025-10-21), native 256K context; config.json; "
    "not confirmed: the licence tags"
)
_QWEN35 = (
    "config.json; artificialanalysis.ai/articles/qwen3-5-small-models (2026-03, Apache-2.0, 262K); 9.65B weights with "
    "those of its multi-token prediction: ollama.com, qwen3.5 9b"
)
_INTERN3 = "arXiv 2504.10479; OpenGVLab/InternVL, README: News (2025-04-11) and License (MIT)"
_INTERN35 = "arXiv 2508.18265; huggingface.co/OpenGVLab/InternVL3_5-4B-Instruct and -38B, licence tags (apache-2.0)"
_SMOL = (
    "arXiv 2504.05299; huggingface.co/HuggingFaceTB/SmolVLM2-2.2B-Instruct, card (Apache 2.0); not confirmed by its "
    "makers' own page: the month"
)
_GEMMA3 = (
    "arXiv 2503.19786; huggingface/transformers, docs/source/en/model_doc/gemma3.md (2025-03-12, 128K); not confirmed: "
    "the present wording of ai.google.dev/gemma/terms"
)
_GEMMA4 = (
    "huggingface/transformers, docs/source/en/model_doc/gemma4.md (2026-04-01, 128K and 256K); c114pro.com/ai/169440 "
    "(12B: 2026-06-03, Apache-2.0); ai.google.dev/gemma/docs/core; ai.google.dev/edge/litert-lm/models/gemma-4; the "
    "share of the tower is estimated, and with it operations and keys and values"
)

_VICUNA_7B = Facts(7.06, 6.48, 0.324, CLIP, 1.93, 4096, "2024-01", _NEXT, _LLAVA_TERMS)
_MISTRAL_7B = Facts(7.57, 6.98, 0.324, CLIP, 0.48, 32768, "2024-01", _NEXT, _LLAVA_TERMS)
_YI_34B = Facts(34.75, 33.47, 0.362, CLIP, 0.90, 4096, "2024-01", _NEXT, _LLAVA_TERMS)
_ONE_05B = Facts(0.894, 0.358, 0.400, SIGLIP, 0.05, 32768, "2024-08", _ONE, _LLAVA_TERMS)
_ONE_7B = Facts(8.03, 6.53, 0.415, SIGLIP, 0.21, 32768, "2024-08", _ONE, _LLAVA_TERMS)
_ONE_72B = Facts(73.18, 70.2, 0.474, SIGLIP, 1.21, 32768, "2024-08", _ONE, _LLAVA_TERMS)

FACTS: dict[str, Facts] = {
    "tiny": Facts(0.006, 0.004, 0.001, 37, 0.02, 4096, "2026", "tiny.md"),
    "smolvlm2-256m": Facts(0.256, 0.106, 0.094, SIGLIP_B, 0.08, 8192, "2025-02", _SMOL),
    "smolvlm2-500m": Facts(0.507, 0.315, 0.098, SIGLIP_B, 0.15, 8192, "2025-02", _SMOL),
    "smolvlm2-2.2b": Facts(2.25, 1.61, 0.434, SIGLIP, 0.72, 8192, "2025-02", _SMOL),
    "internvl3-1b": Facts(0.938, 0.358, 0.308, INTERN, 0.05, 32768, "2025-04", _INTERN3),
    "internvl3-8b": Facts(7.94, 6.53, 0.331, INTERN, 0.21, 32768, "2025-04", _INTERN3),
    "internvl3.5-1b": Facts(1.06, 0.440, 0.309, INTERN, 0.42, 32768, "2025-08", _INTERN35, stated=40960),
    "internvl3.5-2b": Facts(2.35, 1.41, 0.317, INTERN, 0.42, 32768, "2025-08", _INTERN35, stated=40960),
    "internvl3.5-4b": Facts(4.73, 3.63, 0.321, INTERN, 0.54, 32768, "2025-08", _INTERN35, stated=40960),
    "internvl3.5-8b": Facts(8.53, 6.95, 0.338, INTERN, 0.54, 32768, "2025-08", _INTERN35, stated=40960),
    "qwen3-vl-2b": Facts(2.13, 1.41, 0.407, QWEN, 0.42, 262144, "2025-10", _QWEN3),
    "qwen3-vl-4b": Facts(4.44, 3.63, 0.415, QWEN, 0.54, 262144, "2025-10", _QWEN3),
    "qwen3-vl-8b": Facts(8.77, 6.95, 0.576, QWEN, 0.54, 262144, "2025-10", _QWEN3),
    "qwen3-vl-30b-a3b": Facts(31.07, 2.73, 0.539, QWEN, 0.36, 262144, "2025-10", _QWEN3),
    "qwen3.5-9b": Facts(9.65, 6.92, 0.456, QWEN, 0.12, 262144, "2026-03", _QWEN35),
    "qwen2.5-vl-3b": Facts(3.75, 2.77, 0.669, QWEN, 0.14, 32768, "2025-01", _QWEN25, stated=128000),
    "qwen2.5-vl-7b": Facts(8.29, 6.53, 0.677, QWEN, 0.21, 32768, "2025-01", _QWEN25, stated=128000),
    "gemma-3-4b": Facts(4.30, 3.21, 0.420, GEMMA, 0.20, 131072, "2025-03", _GEMMA3),
    "gemma-3-12b": Facts(12.19, 10.76, 0.421, GEMMA, 0.58, 131072, "2025-03", _GEMMA3),
    "gemma-4-e2b": Facts(5.1, 2.3, 0.15, 2520, 0.2, 131072, "2026-04", _GEMMA4),
    "gemma-4-e4b": Facts(8.0, 4.5, 0.15, 2520, 0.3, 131072, "2026-04", _GEMMA4),
    "gemma-4-12b": Facts(12.0, 11.0, 0.05, 2520, 1.0, 262144, "2026-06", _GEMMA4),
    "llava-onevision-0.5b": _ONE_05B,
    "llava-onevision-0.5b-original": _ONE_05B,
    "llava-onevision-7b": _ONE_7B,
    "llava-onevision-7b-original": _ONE_7B,
    "llava-onevision-72b": _ONE_72B,
    "llava-video-7b": Facts(8.03, 6.53, 0.415, SIGLIP, 0.21, 32768, "2024-10", _VIDEO, _LLAVA_TERMS),
    "llava-next-video-7b": Facts(7.06, 6.48, 0.324, CLIP, 1.93, 4096, "2024-04", _NEXT_VIDEO, _LLAVA_TERMS),
    "llava-next-vicuna-7b": _VICUNA_7B,
    "llava-v1.6-vicuna-7b": _VICUNA_7B,
    "llava-next-mistral-7b": _MISTRAL_7B,
    "llava-v1.6-mistral-7b": _MISTRAL_7B,
    "llava-next-34b": _YI_34B,
    "llava-v1.6-34b": _YI_34B,
    "llava-1.5-7b": Facts(7.06, 6.48, 0.324, CLIP, 1.93, 4096, "2023-10", _LLAVA_15, _LLAVA_TERMS),
    "llava-1.5-13b": Facts(13.35, 12.69, 0.335, CLIP, 3.01, 4096, "2023-10", _LLAVA_15, _LLAVA_TERMS),
}
"""Facts by short name; some versions of transformers lack some of these families."""

SIZES = (1.2, 3.0, 6.0, 10.0, 20.0, 40.0)
"""Billions of weights that fit classes of machines: a laptop, a small card, a card of 12, 24, 40 and 80 GB."""


def first_to_try(name: str, size: float) -> tuple[int, float, float]:
    """Return the sort key for lists of models: small ones first, then the newest of similar size.

    Args:
        name: A short name.
        size: Size of its download in GB, for a model without facts.

    Example:
        >>> sorted(["llava-next-34b", "llava-1.5-7b", "qwen3-vl-8b", "tiny"], key=lambda name: first_to_try(name, 0))
        ['tiny', 'qwen3-vl-8b', 'llava-1.5-7b', 'llava-next-34b']
    """
    facts = FACTS.get(name)
    if name == "tiny":
        return -1, 0.0, 0.0
    weights = facts.weights if facts else size / 2
    year, _, month = (facts.published if facts else "0").partition("-")
    return sum(weights > most for most in SIZES), -int(year) - int(month or 12) / 13, weights
