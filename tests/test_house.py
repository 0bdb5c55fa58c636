"""The house itself: what is public, which way imports run, how long files are."""

import ast
import functools
from pathlib import Path

import dyto

SRC = Path(dyto.__file__).parent

FLOORS = [
    {"errors", "console", "files", "options", "savings", "limits", "process"},
    {
        "finch",
        "merge",
        "timing",
        "choices",
        "_pictures",
        "_sampling",
        "_container",
        "_index",
        "_through",
        "_whole",
        "_animation",
        "_arrival",
        "_still",
        "_decode",
        "_rgb",
        "_stretches",
    },
    {"_shapes", "tokens", "keyframes", "segments", "features", "prompts", "video", "guarded", "_channel", "_reader"},
    {"strategies", "models"},
    {"answer", "batching", "streaming", "sheet", "listing", "targets", "dropin", "seeing"},
    {"pipeline"},
    {"synthetic", "benchmarks"},
    {"evaluation"},
    {"evidence"},
    {"inspecting"},
    {"demo"},
    {"comparing", "certifying", "benching"},
    {"printing"},
    {"cli", "legacy", "legacy_eval", "lmms"},
    {"__main__"},
]
"""From the ground up: a module imports from its own floor or from below."""


def floor_of(module):
    (found,) = [number for number, floor in enumerate(FLOORS) if module in floor]
    return found


@functools.cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def at_run_time(node):
    """The statements of a file that are carried out, wherever they stand; expressions hold no import."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            yield from (part for other in child.orelse for part in (other, *at_run_time(other)))
        elif not isinstance(child, ast.expr):
            yield child
            yield from at_run_time(child)


def imports_of(path):
    """Modules of this package that a file imports, by their first name."""
    for node in at_run_time(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dyto":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from [name.split(".")[1] for a in node.names if (name := a.name).startswith("dyto.")]


def files():
    return [path for path in SRC.rglob("*.py") if path != SRC / "__init__.py"]


def test_imports_run_one_way():
    wrong = []
    for path in files():
        module = path.relative_to(SRC).parts[0].removesuffix(".py")
        for imported in imports_of(path):
            if floor_of(imported) > floor_of(module):
                wrong.append(f"{path.relative_to(SRC)} imports dyto.{imported}")
    assert not wrong


def test_the_mathematics_knows_neither_transformers_nor_videos():
    for name in ("finch", "keyframes", "merge", "segments"):
        tree = parsed(SRC / f"{name}.py")
        imported = {
            (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
        }
        assert imported <= {"__future__", "typing", "collections", "dataclasses", "numpy", "torch", "dyto"}
        assert set(imports_of(SRC / f"{name}.py")) <= {"finch"}


def test_what_is_public_is_what_is_listed():
    for name in dyto.__all__:
        assert getattr(dyto, name).__doc__, f"dyto.{name} says nothing about itself"
    code = parsed(SRC / "__init__.py")
    imported = {
        alias.asname or alias.name
        for node in ast.walk(code)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dyto")
        for alias in node.names
    }
    assert imported == set(dyto.__all__)


def test_files_can_be_read_in_one_sitting():
    long = {str(p.relative_to(SRC)): n for p in files() if (n := len(p.read_text().splitlines())) > 350}
    assert not long


def test_the_package_says_that_it_is_typed():
    assert (SRC / "py.typed").exists()
