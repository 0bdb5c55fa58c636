"""The pages of the documentation: their commands and code run as typed, their links lead somewhere.

Before a block a page may say `<!-- run: soak -->` (too long for every day), `<!-- run: no, WHY -->` (it needs what a test
has not: then its commands and options are looked up, and its code is compiled), or `<!-- file: NAME -->` (it is a file
that the reader saves). All other blocks of a page run in order, in one empty folder and one Python session.
"""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import typer.main

from dyto.cli.app import app_for, run

ROOT = Path(__file__).resolve().parents[1]
WALKED = [
    *("ask", "chat", "remember", "search", "look", "frames", "subtitles", "models", "budget", "own-model", "dropin"),
    *("savings", "plus"),
    *("machines", "numbers", "paper", "evaluate", "compare", "strategies", "families", "benchmark"),
]
"""Pages that a stranger can walk through from top to bottom without a download."""

WALKED_DAILY = ("ask", "own-model", "strategies", "look")
"""Those that every run of the tests walks through; the soak walks through all."""

PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
BLOCK = re.compile(r"(?:^<!-- (run|file): ([^\n]*?) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"\s+#.*$", re.MULTILINE)


class Block(NamedTuple):
    mark: str
    value: str
    language: str
    text: str

    @property
    def when(self):
        return self.value.partition(",")[0] if self.mark == "run" else "now"


def blocks(path):
    return [Block(*match.groups(default="")) for match in BLOCK.finditer(path.read_text("utf-8"))]


def commands(text):
    """The commands of a block, without comments, those over several lines in one."""
    lines = COMMENT.sub("", text).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def walk(name, whens, command, monkeypatch, folder):
    """Run the blocks of a page in order; files are there from the start."""
    found = blocks(ROOT / "docs" / f"{name}.md")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DYTO_MODEL", "tiny")  # as docs/ask.md tells who walks through the pages
    monkeypatch.syspath_prepend(str(folder))
    for block in found:
        if block.mark == "file":
            (folder / block.value).write_text(block.text)
    session: dict = {}
    ran = 0
    for block in found:
        if block.mark == "file" or block.when not in whens:
            continue
        if block.language == "bash":
            command(block.text)
        elif block.language == "python":
            script = folder / f"step{ran}.py"
            script.write_text(block.text)
            session = runpy.run_path(str(script), init_globals=session)
        ran += block.language in ("bash", "python")
    for block in found:
        if block.mark == "file" and block.value.endswith(".py"):
            sys.modules.pop(block.value[:-3], None)
    return ran


@pytest.fixture
def benchmarks():
    """The benchmarks as they are, put back afterwards."""
    from dyto.benchmarks import BENCHMARKS

    before = dict(BENCHMARKS)
    yield BENCHMARKS
    BENCHMARKS.clear()
    BENCHMARKS.update(before)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The sample video that nearly every page draws first."""
    path = tmp_path_factory.mktemp("drawn") / "sample.mp4"
    assert run(["synth", "video", "--out", str(path)], debug=True) == 0
    return path


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] * (name not in WALKED_DAILY)) for name in WALKED]
)
def test_the_short_commands_and_code_of_a_page_run(name, monkeypatch, tmp_path, benchmarks, capsys, drawn):
    def command(text):
        for line in commands(text):
            program, *words = shlex.split(line)
            assert program == "dyto", f"{line}: only dyto runs in the short tests, mark the block as soak"
            if words[:3] == ["synth", "video", "--out"] and len(words) == 4:
                Path(words[3]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(drawn, words[3])
            else:
                assert run(words, debug=True) == 0, line

    ran = walk(name, ("now",), command, monkeypatch, tmp_path)
    due = [block for block in blocks(ROOT / "docs" / f"{name}.md") if block.language and block.when == "now"]
    assert ran or not due


@pytest.mark.soak
def test_the_code_of_the_readme_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(["synth", "video", "--out", "clip.mp4"], debug=True) == 0
    session: dict = {
        "features": torch.rand(12, 1 + 16, 32),
        "summaries": torch.rand(12, 32),
        "x": torch.rand(2, 200, 32),
    }
    asking, dropin, parts = (block for block in blocks(ROOT / "README.md") if block.language == "python")
    assert "compressing" in dropin.text, "it is tested with docs/dropin.md, where model and inputs are made"
    for number, block in enumerate((asking, parts)):
        script = tmp_path / f"step{number}.py"
        script.write_text(block.text)
        session = runpy.run_path(str(script), init_globals=session)
    assert len(session["answers"]) == 2
    assert session["merged"].shape == (2, 147, 32)


@pytest.mark.soak
@pytest.mark.parametrize("name", WALKED)
def test_a_whole_page_can_be_walked_in_a_shell(name, monkeypatch, tmp_path, benchmarks):
    place = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def command(text):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=tmp_path,
            env={**os.environ, "PATH": place, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    assert walk(name, ("now", "soak"), command, monkeypatch, tmp_path)


@pytest.mark.soak
def test_the_table_of_memory_is_what_its_command_prints():
    done = subprocess.run(
        [sys.executable, "tools/bench/scripts/bench_memory.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in (ROOT / "docs" / "memory.md").read_text("utf-8")


def known_options(words):
    """The commands behind the first words, and every option of the last of them."""
    import click

    command = typer.main.get_command(app_for([]))
    context = click.Context(command)
    for word in words:
        if not hasattr(command, "resolve_command") or command.get_command(context, word) is None:  # type: ignore[attr-defined]
            break
        _, command, _ = command.resolve_command(context, [word])
    return command.name, {name for option in command.params for name in [*option.opts, *option.secondary_opts]}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_commands_and_code_of_every_page_are_well_formed(path):
    for block in blocks(path):
        if block.language == "python":
            compile(block.text, str(path), "exec")
        for line in commands(block.text) if block.language in ("bash", "") else ():
            if not line.startswith("dyto "):
                continue
            words = shlex.split(line)[1:]
            name, options = known_options(words)
            assert name != "dyto", f"{path.name}: {line}: no such command"
            for word in words:
                if word.startswith("--"):
                    assert word.partition("=")[0] in options | {"--help", "--version"}, f"{path.name}: {line}: {word}"


def anchors(path):
    """What the headings of a page are called in its address."""
    text = re.sub(r"```.*?^```$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_between_pages_lead_somewhere(path):
    text = re.sub(r"```.*?^```$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), f"{path.name}: {target}"
        assert not anchor or anchor in anchors(there), f"{path.name}: {target}"


def test_the_tools_that_a_page_names_are_there():
    own = [ROOT / "CONTRIBUTING.md", *ROOT.glob("src/dyto/checkpoints/*/*.md"), *ROOT.glob("tools/*/README.md")]
    for path in (*PAGES, *own):
        text = path.read_text("utf-8")
        for named in re.findall(r"(?<![\w./])tools/[\w/.]*\w", text):
            assert (ROOT / named).exists(), f"{path.name}: {named}"
        for module in re.findall(r"python -m (dyto_\w+(?:\.\w+)+)", text):
            assert find_spec(module), f"{path.name}: {module}"


def test_every_page_is_in_the_navigation():
    import yaml

    def leaves(tree):
        for entry in tree:
            for value in entry.values():
                yield from leaves(value) if isinstance(value, list) else [value]

    listed = list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed) == sorted(there)


def test_every_name_of_the_reference_is_there():
    from importlib import import_module

    for path in (ROOT / "docs" / "api").glob("*.md"):
        for name in re.findall(r"^::: (\S+)$", path.read_text(), re.MULTILINE):
            module, _, attribute = name.rpartition(".")
            found = getattr(import_module(module), attribute)
            assert found.__doc__, name


def test_every_public_name_is_in_the_reference():
    import dyto

    text = "\n".join(path.read_text() for path in (ROOT / "docs" / "api").glob("*.md"))
    documented = {name.rpartition(".")[2] for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}
    public = {name: getattr(dyto, name) for name in dyto.__all__}
    errors = {name for name, kind in public.items() if isinstance(kind, type) and issubclass(kind, Exception)}
    missing = public.keys() - errors - documented
    assert not missing, f"the pages in docs/api lack {missing}: add a line `::: dyto.NAME` to the one where it belongs"


def test_every_family_is_in_the_first_table_of_its_page():
    from dyto.models.families import FAMILIES

    (table,) = re.findall(r"^\| family \|(?:.*\n)+?\n", text_of("families").partition("\n## ")[0], re.MULTILINE)
    missing = [name for name in FAMILIES if f"`{name}`" not in table]
    assert not missing, f"docs/families.md says nothing about {missing}: add a row to its first table"


def test_every_benchmark_of_the_package_is_in_the_list_of_its_page():
    from dyto.benchmarks import BENCHMARKS

    listed = text_of("evaluate").partition("\n## Benchmarks\n")[2].partition("\n## ")[0]
    missing = [name for name in BENCHMARKS if f"`{name}`" not in listed]
    assert not missing, f"docs/evaluate.md says nothing about {missing}: add a row to its list of benchmarks"


def text_of(page):
    return (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
