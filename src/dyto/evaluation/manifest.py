"""Identification of a run, and everything needed to repeat it."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from dyto.evaluation.questions import Questions
from dyto.models.generation.decoding import stated_options
from dyto.models.stock import weights_fingerprint
from dyto.pipeline import VideoQA

PACKAGES = ("dyto", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pillow", "av")


def model_files(model: str) -> str | None:
    """Return a hash of the names, sizes and times of a checkpoint's files: if it is unchanged, so are the weights.

    Args:
        model: As in `VideoQA.from_pretrained`.

    Returns:
        16 hexadecimal digits; None for a name, or if a file cannot be read.
    """
    digest = sha256()
    try:
        for path in sorted(path for path in Path(model).rglob("*") if path.is_file()):
            info = path.stat()
            digest.update(f"{path.relative_to(model)} {info.st_size} {info.st_mtime_ns}\n".encode(errors="replace"))
    except OSError:
        return None
    return digest.hexdigest()[:16] if Path(model).is_dir() else None


def loaded_config(qa: VideoQA, prompt: str) -> dict[str, Any]:
    """Return the part of a run's configuration that is known only after the model is loaded.

    Args:
        qa: Model and strategy.
        prompt: Text of the prompt template.
    """
    return {
        "weights": weights_fingerprint(qa.model.model),
        "dtype": str(qa.model.dtype).removeprefix("torch."),
        "rope_scaling_factor": qa.model.rope_factor,
        "prompt": prompt,
    }


def machine_manifest(qa: VideoQA, model: str, max_new_tokens: int) -> dict[str, Any]:
    """Return the generation options, versions and machine, as known to the process that holds the model.

    Args:
        qa: Model and strategy.
        model: The model's name as given.
        max_new_tokens: Largest number of tokens per answer.
    """
    device = qa.model.device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device} {platform.machine()}",
        "notices": list(qa.model.notices),
        "model_files": model_files(model),
        "generation": stated_options(qa.model.model, qa.model.tokenizer, max_new_tokens),
        "attention": str(getattr(qa.model.model.config, "_attn_implementation", None)),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}".rstrip(", "),
        "versions": {package: _version(package) for package in PACKAGES},
    }


def run_manifest(questions: Questions, config: Mapping[str, Any], machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is needed to repeat a run: config, question file and machine.

    Args:
        questions: The question file.
        config: What determines the rows.
        machine: A result of `machine_manifest`.
    """
    file = {"path": str(questions.path), "sha256": questions.file_sha256, "rows": len(questions.samples)}
    return {"config": dict(config), "question_file": file, **machine}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
