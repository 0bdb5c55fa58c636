"""The house itself: what is public, which way imports run, how long files are."""

import ast
import collections
import doctest
import functools
import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

import dyto
from dyto.models.families import FAMILIES
from dyto.strategies import STRATEGIES

SRC = Path(dyto.__file__).parent
TOOLS = Path(__file__).resolve().parents[1] / "tools"

FLOORS = [
    {"errors", "savings", "system"},
    {"finch", "merge", "timing", "choices", "_shapes"},
    {"tokens", "features", "keyframes", "segments", "video", "subtitles", "eye", "nouns"},
    {"prompts", "strategies", "models"},
    {"answer", "conversation", "dropin", "memory"},
    {"pipeline"},
    {"synthetic", "benchmarks", "scaling", "ray"},
    {"evaluation", "inspecting", "moments", "searching"},
    {"demo", "batch", "serving"},
    {"comparing", "certifying"},
    {"cli", "lmms"},
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


def test_no_modules_import_each_other_in_a_circle():
    """At the head of a file, for types alone too: what is imported when a function runs does not count."""
    modules = {}
    for path in files():
        parts = path.relative_to(SRC).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    arrows = {name: imported_at_the_head(path, modules) - {name} for name, path in modules.items()}
    while leaves := [name for name, to in arrows.items() if not to]:
        for name in leaves:
            del arrows[name]
        arrows = {name: to - set(leaves) for name, to in arrows.items()}
    assert not arrows


def imported_at_the_head(path, modules):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    inside = {id(child) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in inside or not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("dyto"):
            continue
        base = (node.module or "").removeprefix("dyto").strip(".")
        for alias in node.names:
            full = f"{base}.{alias.name}".strip(".")
            module = full if full in modules else base
            if module in modules:
                found.add(module)
    return found


def test_the_top_floor_can_be_seen_at_a_glance():
    assert len(list(SRC.glob("*.py"))) <= 15


def test_a_family_is_one_file_and_one_row():
    for name, family in FAMILIES.items():
        own = family.adapter.split(":")[0].removeprefix("dyto.").replace(".", "/") + ".py"
        places = {path.relative_to(SRC).as_posix() for path in files() if is_named(name, path)}
        elsewhere = places - {"models/families.py", own}
        assert not elsewhere, f"{name} has a row and is named in {elsewhere}, too: move what it says to the row"


def test_an_adapter_can_be_read_at_a_glance():
    """The bundled models live in the same room, but are no adapters of a family."""
    room = SRC / "models" / "adapters"
    adapters = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in room.glob("*.py")}
    bundled = {room / "tiny.py", room / "nouns.py"}
    named = {SRC.parent / (family.adapter.split(":")[0].replace(".", "/") + ".py") for family in FAMILIES.values()}
    assert named | {room / "generic.py", room / "__init__.py"} == adapters.keys() - bundled
    assert not {path.name: lines for path, lines in adapters.items() if lines >= 150 and path not in bundled}


def is_named(model_type, path):
    """Whether a file asks for a model type, or holds something for it."""
    for node in ast.walk(parsed(path)):
        asked = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        held = [key for key in node.keys if key] if isinstance(node, ast.Dict) else []
        if any(isinstance(part, ast.Constant) and part.value == model_type for part in (*asked, *held)):
            return True
    return False


def test_a_strategy_is_one_file_and_one_line():
    text = (SRC / "strategies" / "__init__.py").read_text(encoding="utf-8")
    for kind in STRATEGIES.values():
        name = kind.__name__
        lines = len(re.findall(rf"\b{name} as {name}\b", text))
        assert lines == 1, f"strategies/__init__.py has {lines} lines `import {name} as {name}`, expected one"
        assert name in dyto.__all__, f"{name} is not public: import it in dyto/__init__.py and add it to __all__"
        assert getattr(dyto, name) is kind


def test_the_package_knows_nothing_of_the_tools_nor_they_of_each_other():
    """Not by a name in a string, either: what only trains or measures is not installed where the package is."""
    names = {"dyto_bench": TOOLS / "bench", "dyto_tiny": TOOLS / "tiny", "dyto_nouns": TOOLS / "nouns"}
    knowing = [
        f"{path} names {name}"
        for name, home in names.items()
        for folder in (SRC, *names.values())
        if folder != home
        for path in folder.rglob("*.py")
        if name in path.read_text(encoding="utf-8")
    ]
    assert not knowing


def test_the_nouns_have_types():
    """A model or a strategy is never just anything."""
    untyped = {
        (path.relative_to(SRC).as_posix(), node.arg)
        for path in files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.arg) and node.arg in ("strategy", "model", "tokenizer", "encode", "qa")
        if isinstance(node.annotation, ast.Name) and node.annotation.id == "Any"
    }
    assert not untyped


@pytest.mark.parametrize("name", dyto._MOVED)
def test_former_names_of_modules_are_taken_with_a_warning(name):
    sys.modules.pop(name, None)
    with pytest.warns(DeprecationWarning, match="was renamed"):
        former = importlib.import_module(name)
    assert former is importlib.import_module(dyto._MOVED[name])
    assert former.__spec__.name == former.__name__ == dyto._MOVED[name]


def test_the_mathematics_knows_neither_transformers_nor_videos():
    for name in ("finch", "keyframes", "merge", "segments"):
        tree = parsed(SRC / f"{name}.py")
        imported = {
            (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
        }
        assert imported <= {"__future__", "typing", "collections", "dataclasses", "heapq", "numpy", "torch", "dyto"}
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


@pytest.mark.parametrize("name", dyto.__all__)
def test_a_public_name_is_found_where_nothing_was_imported_before(name):
    """Once imported, a module is an attribute of the package, so that only a fresh process would ask for it here."""
    assert dyto.__getattr__(name) is getattr(dyto, name)


@pytest.mark.parametrize("name", dyto.__all__)
def test_every_public_name_has_an_example_that_the_run_of_doctests_covers(name):
    """`pytest` collects what `doctest` finds in the modules of the package: the home of the name must be one of them."""
    found = getattr(dyto, name)
    assert re.search(r"^ *Example:\n +>>> ", found.__doc__, re.MULTILINE), f"dyto.{name} has no example"
    home = found if inspect.ismodule(found) else importlib.import_module(found.__module__)
    assert Path(inspect.getfile(home)).is_relative_to(SRC)
    full = home.__name__ if home is found else f"{home.__name__}.{found.__qualname__}"
    (case,) = [case for case in doctest.DocTestFinder().find(home) if case.name == full]
    assert any(not example.options for example in case.examples), "what is skipped shows nothing"


def test_files_can_be_read_in_one_sitting():
    everywhere = [*files(), *TOOLS.rglob("*.py")]
    long = {str(path): n for path in everywhere if (n := len(path.read_text(encoding="utf-8").splitlines())) > 350}
    assert not long


def test_a_name_means_one_class_and_not_five_files():
    everywhere = [*files(), *TOOLS.rglob("*.py")]
    classes = collections.Counter(
        node.name for path in everywhere for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)
    )
    assert not [name for name, count in classes.items() if count > 1]
    names = collections.Counter(path.name for path in everywhere if not path.name.startswith("__"))
    assert not [name for name, count in names.items() if count >= 5]


def test_no_ten_lines_are_written_twice():
    """Blank lines and imports do not count."""
    places = collections.defaultdict(list)
    for path in [*files(), *TOOLS.rglob("*.py")]:
        said = [(n, line.strip()) for n, line in enumerate(path.read_text("utf-8").splitlines(), 1) if line.strip()]
        for at in range(len(said) - 9):
            ten = tuple(line for _, line in said[at : at + 10])
            if sum(line.startswith(("import ", "from ")) or line in ("(", ")") for line in ten) < 3:
                places[ten].append(f"{path}:{said[at][0]}")
    assert not [found for found in places.values() if len(found) > 1]


def test_the_tests_mirror_the_rooms():
    """A file of tests that is not in a room is about a file of the top floor, or about the whole."""
    tests = Path(__file__).parent
    rooms = {path.name for path in SRC.iterdir() if path.is_dir()} | {"tools"}
    whole = {"docs", "docstrings", "pages", "house", "fuzz", "fuzz_texts", "no_posix", "schemas", "batching"}
    assert {path.parent.relative_to(tests).parts[0] for path in tests.glob("*/**/test_*.py")} <= rooms
    assert {path.stem.removeprefix("test_") for path in tests.glob("test_*.py")} - whole <= {
        p.stem for p in SRC.glob("*.py")
    }


def test_the_package_says_that_it_is_typed():
    assert (SRC / "py.typed").exists()
