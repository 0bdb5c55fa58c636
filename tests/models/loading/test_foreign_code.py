"""Nothing of a checkpoint's own code runs, whatever its files name: traps that leave a mark if they are sprung."""

import json
import os
import subprocess
import sys
import time

import pytest
import torch

import dyto
from dyto.errors import ModelError

TRAP = """
import pathlib
pathlib.Path({mark!r}).write_text(__name__)
from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, PreTrainedTokenizerFast
class Config(LlavaNextConfig): pass
class Model(LlavaNextForConditionalGeneration): pass
class Tokenizer(PreTrainedTokenizerFast): pass
def generate(*args, **kwargs): pass
"""

MAP = {name: f"evil.{kind}" for name, kind in
       [("AutoConfig", "Config"), ("AutoModel", "Model"), ("AutoModelForImageTextToText", "Model"),
        ("AutoModelForCausalLM", "Model"), ("AutoProcessor", "Model"), ("AutoImageProcessor", "Model")]}  # fmt: skip

ASK = """
import sys, numpy, dyto
qa = dyto.VideoQA.from_pretrained(sys.argv[1], device="cpu")
print(len(qa.ask(numpy.zeros((3, 40, 52, 3), numpy.uint8), "what ?", max_new_tokens=2).text) >= 0)
"""


@pytest.fixture
def mark(folder, tmp_path):
    """What the traps write; they lie in the folder wherever code of a checkpoint may lie."""
    mark = tmp_path / "mark"
    for place in ("evil.py", "custom_generate/generate.py", "pipeline.py", "__init__.py", "sitecustomize.py"):
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text(TRAP.format(mark=str(mark)))
    return mark


def change(folder, file, **values):
    path = folder / file
    said = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(said | values))


def ask(folder, tmp_path):
    """Ask in a process of its own, which says yes to whatever it is asked."""
    env = os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", ASK, str(folder)], input="y\n" * 50, text=True, capture_output=True, env=env,
        timeout=240, cwd=tmp_path, check=False,
    )  # fmt: skip


def test_a_checkpoint_full_of_code_answers_and_runs_none_of_it(folder, mark, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    for part in (config, config["text_config"], config["vision_config"]):
        part |= {"auto_map": MAP, "_attn_implementation": "evil/kernel", "attn_implementation": "evil/kernel",
                 "custom_pipelines": {"x": {"impl": "pipeline.Pipe", "pt": ["AutoModel"]}}, "use_kernels": True,
                 "transformers_weights": "../elsewhere.safetensors", "_name_or_path": "evil/evil",
                 "kernel_config": {"kernel_mapping": {"RMSNorm": "evil/kernel:X"}},
                 "_experts_implementation": "evil/kernel"}  # fmt: skip
    config["configuration_files"] = ["config.99.0.0.json"]
    (folder / "config.json").write_text(json.dumps(config))
    change(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]},
           chat_template="{% for i in range(10**12) %}{{ i }}{% endfor %}")  # fmt: skip
    change(folder, "generation_config.json", custom_generate="evil", auto_map=MAP)
    change(folder, "processor_config.json", auto_map=MAP, processor_class="Evil")
    change(folder, "preprocessor_config.json", auto_map=MAP, image_processor_type="Evil", size={"height": 10**9})
    begun = time.monotonic()
    ended = ask(folder, tmp_path)
    assert "True" in ended.stdout, ended.stderr[-3000:]
    assert not mark.exists(), mark.read_text()
    assert not (tmp_path / "modules").exists() or not list((tmp_path / "modules").rglob("evil*"))
    assert time.monotonic() - begun < 200


@pytest.mark.soak
def test_a_tokenizer_that_only_code_can_read_is_refused(folder, mark, tmp_path):
    change(
        folder, "tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.Tokenizer", None]}
    )
    change(folder, "config.json", auto_map=MAP)
    ask(folder, tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["AutoModel", "AutoTokenizer", "AutoModelForCausalLM", "LlavaNextForConditionalGeneration", "pipeline",
             "RagTokenizer", "AutoProcessor", "BitsAndBytesConfig", 3, ["LlamaTokenizer"], "utils"]
)  # fmt: skip
def test_a_tokenizer_class_that_is_none_is_refused(folder, name):
    change(folder, "tokenizer_config.json", tokenizer_class=name)
    with pytest.raises(ModelError, match="expected the name of a tokenizer of transformers"):
        dyto.load_model(folder, device="cpu")


def test_an_adapter_leads_to_no_other_checkpoint(folder, tmp_path):
    change(folder, "adapter_config.json", base_model_name_or_path=str(tmp_path / "evil"), peft_type="LORA")
    with pytest.raises(ModelError, match="holds an adapter .* expected a whole model: merge it into its base"):
        dyto.load_model(folder, device="cpu")


def test_a_config_does_not_choose_the_kernels(folder):
    config = json.loads((folder / "config.json").read_text())
    for part in (config, config["text_config"], config["vision_config"]):
        part["_attn_implementation"] = "kernels-community/flash-attn3"
    (folder / "config.json").write_text(json.dumps(config))
    loaded = dyto.load_model(folder, device="cpu").model
    assert {part.config._attn_implementation for part in loaded.modules() if hasattr(part, "config")} == {"sdpa"}  # type: ignore[union-attr]


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "adapter_model.bin", "training_args.bin", "mm_projector.bin",
                                  "model.safetensors"])  # fmt: skip
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_nothing_is_unpickled(folder, tmp_path, name):
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Evil(tmp_path / "mark")}, folder / name)
    change(folder, "config.json", transformers_weights="adapter_model.bin")
    with pytest.raises(ModelError):
        dyto.load_model(folder, device="cpu")
    assert not (tmp_path / "mark").exists()


def test_every_loader_of_transformers_is_told_to_run_no_code():
    from pathlib import Path

    for file in Path(dyto.__file__).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for part in text.split("Auto")[1:]:
            call = part[:200].partition(".from_pretrained")
            if call[1] and call[0].isidentifier() and file.name != "card.py":
                assert "trust_remote_code=False" in call[2], file
