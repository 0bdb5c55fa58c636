"""Models by short name, with the facts to know before downloading them."""

from __future__ import annotations

from dyto.models.facts import first_to_try
from dyto.models.families import FAMILIES, ModelEntry

_APACHE, _OV = "Apache-2.0", "lmms-lab/llava-onevision-qwen2"
_VIDEOS = "trained on videos, 32k context"
_ORIGINAL = "in the original layout"

FURTHER: dict[str, ModelEntry] = {
    "qwen2.5-vl-3b": ModelEntry(
        "Qwen/Qwen2.5-VL-3B-Instruct",
        7.5,
        "Qwen Research License, not commercial",
        "native resolution, absolute time; 32k context",
    ),
    "internvl3.5-1b": ModelEntry("OpenGVLab/InternVL3_5-1B-HF", 2.1, _APACHE, f"small; {_VIDEOS}"),
    "internvl3.5-2b": ModelEntry("OpenGVLab/InternVL3_5-2B-HF", 4.7, _APACHE, _VIDEOS),
    "internvl3.5-4b": ModelEntry("OpenGVLab/InternVL3_5-4B-HF", 9.5, _APACHE, _VIDEOS),
    "internvl3.5-8b": ModelEntry("OpenGVLab/InternVL3_5-8B-HF", 17.1, _APACHE, _VIDEOS),
    "smolvlm2-256m": ModelEntry(
        "HuggingFaceTB/SmolVLM2-256M-Video-Instruct", 1.03, _APACHE, "smallest; trained on videos, 8k context"
    ),
    "llava-onevision-0.5b-original": ModelEntry(f"{_OV}-0.5b-ov", 1.8, _APACHE, f"the same {_ORIGINAL}"),
    "llava-onevision-7b-original": ModelEntry(f"{_OV}-7b-ov", 16.1, _APACHE, f"the same {_ORIGINAL}"),
    "llava-onevision-72b": ModelEntry(
        f"{_OV}-72b-ov", 146.4, "Apache-2.0, Qwen2 72B part Tongyi Qianwen License", f"{_VIDEOS}, {_ORIGINAL}"
    ),
    "llava-video-7b": ModelEntry("lmms-lab/LLaVA-Video-7B-Qwen2", 16.1, _APACHE, f"{_VIDEOS}, {_ORIGINAL}"),
}
"""Further sizes and layouts of families in the table."""

_KNOWN = {name: entry for family in FAMILIES.values() for name, entry in family.models.items()} | FURTHER

CATALOG: dict[str, ModelEntry] = {
    "tiny": ModelEntry("", 0.0, "Apache-2.0", "ships with the package; knows synthetic shapes only", "its makers"),
    "nouns": ModelEntry(
        "", 0.0, "Apache-2.0", "needs the extra see; names 1,000 kinds of things in real videos", "its makers"
    ),
    **{name: _KNOWN[name] for name in sorted(_KNOWN, key=lambda name: first_to_try(name, _KNOWN[name].size))},
}
"""Every short name, in the order in which to try them. A hub name or a local folder works as well."""
