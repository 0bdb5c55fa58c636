"""What a command imports before it does its work: nothing that it does not need."""

import dataclasses
import gc
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from dyto.cli.app import MODULES
from dyto.cli.quick import quickly
from dyto.eye.names import BUNDLED
from dyto.models.eyes import EYES
from dyto.models.ranking import ACCELERATORS
from dyto.strategies import NEEDS, PRESETS, STRATEGIES, DyTo
from dyto.strategies.table import ROWS

TELL = """
import contextlib, io, json, sys
from dyto.cli.app import run
told = []
for words in {requests!r}:
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        status = run(words, False)
    told.append([status, sorted(sys.modules), said.getvalue()])
print(json.dumps(told))
"""
HEAVY = {"torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "accelerate", "sympy"}
READING = {"numpy", "av", "PIL"}
"""What a video is opened with."""


def packages_of(modules):
    return {name.partition(".")[0] for name in modules}


def imported(*requests, **environment):
    """Run commands, one after another, in a process of their own: the status of each, the modules that are there after it,
    and what it said."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | environment
    code = TELL.format(requests=[[str(word) for word in words] for words in requests])
    told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return [(status, set(modules), said) for status, modules, said in json.loads(told.stdout.splitlines()[-1])]


def after_each(requests, files=None):
    """Run commands in one process: the status, the packages that it was the first to import, and the words of each."""
    before = set()
    for status, modules, said in imported(*([(files or {}).get(word, word) for word in words] for words in requests)):
        packages = packages_of(modules)
        yield status, packages - before, said
        before |= packages


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "notes.mp4"
    path.write_text("no video, but a text that somebody renamed\n" * 40)
    return path


ALONE = [
    (["--help"], 0),
    (["ask", "--help"], 0),
    (["chat", "--help"], 0),
    (["chat", "FILE", "--strategy", "unifrm"], 2),
    (["chat", "FILE", "--budget", "0"], 2),
    (["remember", "--help"], 0),
    (["watch", "--help"], 0),
    (["search", "--help"], 0),
    (["watch", "-", "--ask", "-"], 2),
    (["watch", "FILE", "--strategy", "unifrm"], 2),
    *((["list", what], 0) for what in ("strategies", "presets", "benchmarks", "prompts", "savings")),
    (["list", "modls"], 2),
    (["ask", "--modle", "tiny"], 2),
    (["ask", "FILE", "what ?", "--strategy", "unifrm"], 2),
    (["ask", "FILE", "what ?", "--strategy", "uniform-pool:pol=3"], 2),
    (["ask", "FILE", "what ?", "--preset", "relase"], 2),
    (["ask", "FILE", "what ?", "--budget", "0"], 2),
    (["ask", "FILE", "what ?", "--without", "paralel"], 2),
    (["prepare", "nextqa", "--qa-file", "nowhere.csv"], 1),
    (["report", "nowhere"], 1),
]
"""Commands that need neither a model nor a video, and their status."""


def test_a_command_without_a_video_imports_no_library_for_one():
    for (words, status), (found, packages, said) in zip(ALONE, after_each(words for words, _ in ALONE), strict=True):
        assert found == status, (words, said)
        assert not packages & (HEAVY | READING), words


BOTH = [
    (["missing.mp4", "what ?"], "missing.mp4 does not exist"),
    (["https://example.org/a.mp4", "what ?"], "is an address"),
    (["TEXT", "what ?"], "cannot be opened"),
    (["CLIP", ""], "the question is empty"),
    (["CLIP", "what ?", "--model", "tny"], "did you mean 'tiny'"),
    (["CLIP", "what ?", "--dtype", "float31"], "did you mean 'float32'"),
]
ASK = [
    (["CLIP", "what ?", "--model", "./nowhere"], "does not exist"),
    (["CLIP", "what ?", "--attention", "spda"], "did you mean 'sdpa'"),
    (["CLIP", "what ?", "--quantization", "3bit"], "unknown quantization"),
    (["CLIP", "what ?", "--prompt", "image_sq_v3"], "did you mean 'image_seq_v3'"),
    (["CLIP", "what ?", "--eye", "noun"], "unknown eye"),
    (["CLIP", "what ?", "--max-new-tokens", "0"], "expected at least 1"),
    (["CLIP", "what ?", "--subtitles", "nowhere.srt"], "a file that exists"),
    (["CLIP", "what ?", "--speech", "smal"], "has no sound"),
    (["CLIP", "which ?", "--choices", "a cat"], "expected 2 to 26"),
]
OUT = ["--out", "memory.dyto"]
REMEMBERED = [
    (["remember", "missing.mp4", *OUT], "missing.mp4 does not exist"),
    (["remember", "missing.mp4", "TEXT", *OUT], "2 of 2 videos are not remembered"),
    (["remember", "CLIP", "CLIP", *OUT], "expected different names"),
    (["remember", "CLIP", *OUT, "--model", "tny"], "did you mean 'tiny'"),
    (["ask", "CUT", "what ?"], "expected a whole memory"),
    (["search", "", "CUT"], "the query is empty"),
    (["search", "a zebrra", "CUT", "--eye", "nouns"], "did you mean 'zebra'"),
    (["search", "a zebra", "CUT", "--eye", "noun"], "did you mean 'nouns'"),
    (["search", "a zebra", "CUT"], "expected a whole memory"),
    (["search", "a zebra", "CLIP"], "is no memory"),
    (["search", "a zebra", "CUT", "CLIP", "--rerank", "3", "--model", "tny"], "did you mean 'tiny'"),
    (["watch", "missing.mp4"], "missing.mp4 does not exist"),
    (["watch", "CLIP", "--ask", ""], "the question is empty"),
]
MOMENTS = [
    (["timeline", "CLIP", "--segments", "0"], "expected at least 1"),
    (["timeline", "CLIP", "--out", "a.pdf"], "expected one of .txt"),
    (["timeline", "CLIP", "--model", "tny"], "did you mean 'tiny'"),
    (["timeline", "TEXT"], "cannot be opened"),
    (["frames", "CLIP", "--out", "CLIP"], "is no folder"),
    (["frames", "CLIP", "--out", "new", "--format", "gif"], "unknown picture format"),
    (["frames", "TEXT", "--out", "new"], "cannot be opened"),
]
SEVERAL = [
    (["missing.mp4", "TEXT", "what ?"], "2 of 2 questions got no answer"),
    (["FOLDER", "what ?"], "cannot be opened"),
    (["CLIP", "CLIP", ""], "the question is empty"),
    (["CLIP", "TEXT", "what ?", "--model", "tny"], "did you mean 'tiny'"),
    (["CLIP", "--each", "missing.txt"], "cannot be read"),
]
WRONG = [
    *REMEMBERED,
    *MOMENTS,
    *((["ask", *words], message) for words, message in BOTH + ASK + SEVERAL),
    *(
        (["chat", words[0], *words[2:]], message)
        for words, message in BOTH + ASK
        if words[1] and "--choices" not in words
    ),
    *((["inspect", words[0], "--question", *words[1:]], message) for words, message in BOTH),
]


def test_a_wrong_request_is_refused_before_a_model_is_imported(clip, text):
    cut = text.with_name("cut.dyto")
    cut.write_bytes(b"DYTO memory log\n")
    files = {"CLIP": clip, "TEXT": text, "FOLDER": text.parent, "CUT": cut}
    told = after_each((words for words, _ in WRONG), files)
    for (words, message), (status, packages, said) in zip(WRONG, told, strict=True):
        assert status in (1, 2), words
        assert message in said, words
        assert not packages & HEAVY, words


def test_the_bundled_eye_needs_no_stock_model(clip):
    """Whoever asks the model `nouns` does not wait for the classes of language models."""
    [(status, modules, said)] = imported(["ask", clip, "what is there ?", "--model", "nouns", "--num-frames", 2])
    assert status == 0, said
    assert not {"transformers.modeling_utils", "transformers.generation.utils", "torch._dynamo"} & modules
    assert not packages_of(modules) & {"accelerate", "sympy"}


def test_a_model_of_a_family_needs_no_other(clip):
    [(status, modules, said)] = imported(["ask", clip, "what is there ?", "--model", "tiny", "--num-frames", 2])
    assert status == 0, said
    ours = {name for name in modules if name.startswith("dyto.models.adapters.")}
    assert ours == {"dyto.models.adapters.llava", "dyto.models.adapters.llava_next"}
    assert not {"dyto.models.loading.original_llava", "dyto.models.trial", "gradio", "dyto.dropin"} & modules
    assert not {"dyto.inspecting.sheet", "dyto.inspecting.evidence", "rich.progress", "PIL.ImageFont"} & modules
    stock = {name for name in modules if name.startswith("transformers.models.") and ".modeling_" in name}
    assert stock <= {
        f"transformers.models.{name}"
        for name in (
            "auto.modeling_auto", "clip.modeling_clip", "llama.modeling_llama", "llava_next.modeling_llava_next",
        )
    }  # fmt: skip


def test_a_command_imports_no_module_of_another(clip):
    requests = [["list", "prompts"], ["report", "nowhere"], ["ask", clip, "what is there ?", "--model", "tiny"]]
    for request in requests:
        [(_, modules, said)] = imported(request)
        others = {f"dyto.cli.{module}" for name, module in MODULES.items() if name != request[0]}
        needed = {f"dyto.cli.{MODULES[request[0]]}", "dyto.cli.app"}
        assert not (others - needed) & modules, (request, said)
    assert "dyto.cli.planning" not in modules


def test_the_table_of_commands_names_the_module_that_adds_each():
    for module in set(MODULES.values()):
        app = typer.Typer()
        importlib.import_module(f"dyto.cli.{module}").register(app)
        added = {command.name for command in app.registered_commands}
        added |= {group.typer_instance.info.name for group in app.registered_groups}
        assert added == {name for name, place in MODULES.items() if place == module}


def test_what_is_imported_quickly_is_old_for_the_garbage_collector():
    with quickly():
        assert not gc.isenabled()
        made = [[] for _ in range(10_000)]  # a collection of the young would look through all of them
        assert gc.get_count()[0] >= len(made)
    assert gc.isenabled()
    assert gc.get_count()[0] < 1000
    assert gc.get_freeze_count() == 0
    assert any(made is one for one in gc.get_objects(generation=2))


def test_the_garbage_collector_stays_off_for_whoever_turned_it_off():
    gc.disable()
    try:
        with quickly():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_table_of_strategies_says_what_the_classes_say():
    assert list(ROWS) == list(STRATEGIES)
    for name, kind in STRATEGIES.items():
        row = ROWS[name]
        assert kind.name == name
        assert row.line == kind.__doc__.partition("\n")[0]
        assert row.options.split() == [field.name for field in dataclasses.fields(kind)]
        assert row.needs.split() == list(kind.needs)
        assert set(kind.needs) <= set(NEEDS)


def test_the_table_of_presets_says_what_the_strategies_are():
    for name, preset in PRESETS.items():
        made = DyTo.preset(name)
        assert {field: getattr(made, field) for field in preset.fields} == dict(preset.fields)
        assert made.name == preset.strategy
    assert DyTo.preset("release") == DyTo()
    assert DyTo.preset("paper-7b") == DyTo()


def test_the_names_of_eyes_are_those_of_the_eyes():
    assert set(BUNDLED) == set(EYES)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for accelerators in /dev")
def test_models_are_ranked_for_a_machine_without_an_accelerator_without_torch(tmp_path):
    [(found, modules, said)] = imported(["list", "models"], HF_HOME=str(tmp_path))
    assert found == 0, said
    if not any(next(Path("/dev").glob(part), None) for part in ACCELERATORS):
        assert not packages_of(modules) & (HEAVY | READING) - {"huggingface_hub"}  # which knows where downloads lie
