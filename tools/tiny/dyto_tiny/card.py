"""The model card: what the tiny model can and cannot do, written from measured figures only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dyto_tiny.zeroshot import METHODS

Figures = Mapping[str, Any]

_LEADS = {
    "release": "DyTo, release",
    "finest": "DyTo, finest",
    "paper-34b": "DyTo, paper-34b at the same budget",
    "uniform": "uniform frames",
    "oracle": "oracle",
    "blind": "no video",
    "guess": "best guess",
}

_INTRODUCTION = """\
# tiny: a LLaVA-NeXT that knows a world of coloured shapes

A stock `LlavaNextForConditionalGeneration` with {parameters:,} parameters ({megabytes:.1f} MB in bfloat16). It runs
this package's whole method within seconds on any computer, lets tests use trained weights, and compares strategies
where the truth is known. It knows only coloured shapes on plain backgrounds and the words for them; real pictures and
videos mean nothing to it.

```python
from transformers import AutoProcessor, LlavaNextForConditionalGeneration

processor = AutoProcessor.from_pretrained(folder)
model = LlavaNextForConditionalGeneration.from_pretrained(folder)
inputs = processor(images=image, text="USER: <image>\\nDescribe the scene. ASSISTANT:", return_tensors="pt")
print(processor.decode(model.generate(**inputs)[0], skip_special_tokens=True))
```
"""

_TRAINING = """\
## How it was trained

The command was `python -m dyto_tiny.train --steps {steps} --seed {seed}`. All images were drawn: {eye} steps of
{tiles} tiles trained the tower and the projector (what each patch, CLS and merged tokens show); then {talk} steps of
{pictures} images with about 20 questions each trained the language model, with the tower frozen. The tower learns to
align tokens with the embeddings of the words for what they show, and the language model starts from these embeddings.
`training.json` holds settings and history. This is the checkpoint of the last step; none was chosen by the results of
a strategy on videos.{notes}

Keep in mind when you compare strategies with it:

- It was trained without videos. But most of its images are strips of several scenes, and half of these strips show a
  scene at several moments, which is as close to a video as an image gets.
- During training, tokens of strips were dropped, pooled or merged, equally often. All three therefore look better here
  than on a model that never saw reduced tokens. The embeddings of the words share no entry, so a maximum or a mean of
  tokens keeps what each of them showed: merging costs less than on a model with entangled features.
- A frame has 36 tokens and shows one to four objects. A frame therefore loses little in a fourfold reduction, and
  seeing more frames matters more than seeing each frame well. The regime "detail" is the opposite.
"""


def share(pair: Sequence[int]) -> str:
    """Right of asked, as a percentage with the number asked.

    Example:
        >>> share((9, 10))
        '90 % of 10'
    """
    return f"{100 * pair[0] / pair[1]:.0f} % of {pair[1]}" if pair[1] else "not asked"


def model_card(figures: Figures, training: Figures) -> str:
    """Write the card.

    Args:
        figures: What `python -m dyto_tiny.evaluate --out` wrote.
        training: The `training.json` beside the checkpoint; `notes` in it are paragraphs about this very run.

    Returns:
        Markdown.
    """
    settings = training["settings"]
    eye = round(settings["steps"] * settings["eye_share"])
    notes = "".join(f"\n\n{note}" for note in training.get("notes", ()))
    parts = [
        _INTRODUCTION.format(parameters=figures["parameters"], megabytes=figures["bytes"] / 1e6),
        _TRAINING.format(eye=eye, talk=settings["steps"] - eye, notes=notes, **settings),
        _images(figures),
        _videos(figures),
        _limits(figures),
    ]
    return "\n".join(parts)


def _images(figures: Figures) -> str:
    free, letters = figures["images"]["free"], figures["images"]["letters"]
    rows = [
        f"| {name} | {share(free.get(name, (0, 0)))} | {share(letters.get(name, (0, 0)))} |"
        for name in dict.fromkeys((*free, *letters))
    ]
    return "\n".join(
        (
            "## Held-out images",
            "",
            "Single scenes that were not in the training, asked through the stock processor and `generate`. Right",
            "means an exact match of the answer, or the right letter of four.",
            "",
            "| type | words | letter |",
            "|---|---|---|",
            *rows,
            "",
        )
    )


def _videos(figures: Figures) -> str:
    methods = [method for method in METHODS if method in figures["methods"]]
    lines = [
        "## Videos, zero-shot",
        "",
        f"Percent right on {figures['videos']} fresh videos (seed {figures['seed']}), equally many of each regime,",
        "with 100 sampled frames and at most 230 visual tokens (6.4 frames). The oracle is DyTo given the middle of",
        "every true scene. `no video` is the model without visual tokens. `best guess` is the most frequent answer of",
        "each type; it needs no model.",
        "",
    ]
    for by, title in (("by_type", "type"), ("by_regime", "regime")):
        for mode, what in (("free", "in words"), ("letters", "letter of four")):
            lines += [f"| {title}, {what} | asked | " + " | ".join(_LEADS[m] for m in methods) + " |"]
            lines += ["|---" * (len(methods) + 2) + "|"]
            for group, scored in figures[by][mode].items():
                asked = max(pair[1] for pair in scored.values())
                cells = [f"{100 * scored[m][0] / scored[m][1]:.0f}" if m in scored else "-" for m in methods]
                lines.append(f"| {group} | {asked} | " + " | ".join(cells) + " |")
            lines.append("")
    lines.append("Difference to uniform frames on the same questions, in points, with 95 % intervals over videos:")
    lines.append("")
    for method, (value, low, high) in figures["differences"].items():
        lines.append(f"- {_LEADS[method]}: {100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")
    return "\n".join((*lines, ""))


def _limits(figures: Figures) -> str:
    weak: list[str] = []
    for mode, what in (("free", "in words"), ("letters", "by letter")):
        for name, scored in figures["by_type"][mode].items():
            best = max(
                scored[m][0] / scored[m][1] for m in scored if m in ("release", "finest", "paper-34b", "uniform")
            )
            if best < 0.7 and name != "all":
                weak.append(f"{name} {what} ({100 * best:.0f} %)")
    told = ", ".join(weak) if weak else "none"
    right, asked = figures["sample"]
    return "\n".join(
        (
            "## What to expect",
            "",
            f"- Sample videos of the demo's kind ({figures['samples']} fresh seeds, DyTo {figures['sample_preset']}): "
            f"{share((right, asked))} questions",
            "  are answered right.",
            f"- Types of question below 70 % on videos with every strategy: {told}.",
            "- Answers are short phrases from its own vocabulary; unknown words are read as `<unk>`. It always",
            "  answers, even about things that it cannot know.",
            "- Differences of a few points between strategies may be chance: check the intervals.",
            "",
            f"Measured with torch {figures['versions']['torch']}, transformers {figures['versions']['transformers']}.",
            "",
        )
    )
