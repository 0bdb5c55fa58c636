"""Docstrings speak one dialect: Google style, a plain verb first for functions, a noun phrase for the rest."""

import ast
import re
from pathlib import Path

import pytest

import dyto

SRC = Path(dyto.__file__).parent
BENCH = SRC.parents[1] / "tools" / "bench" / "src" / "dyto_bench"

NO_VERBS = {
    *(
        "a",
        "all",
        "an",
        "any",
        "as",
        "at",
        "both",
        "each",
        "every",
        "everything",
        "from",
        "how",
        "if",
        "in",
        "is",
        "it",
    ),
    *(
        "its",
        "many",
        "no",
        "none",
        "of",
        "on",
        "one",
        "same",
        "several",
        "some",
        "that",
        "the",
        "their",
        "these",
        "they",
    ),
    *("this", "those", "to", "what", "when", "where", "whether", "which", "while", "who", "whose", "why", "with"),
}
VERBS_IN_S = {"access", "address", "bypass", "compress", "discuss", "express", "focus", "guess", "pass", "process"}
"""Verbs whose base form ends in -s; any other such word at the beginning is read as "Returns", "Gives"."""

SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Yields")
PROPERTIES = {"property", "cached_property", "setter"}


def is_property(node):
    names = {part.id if isinstance(part, ast.Name) else part.attr for decorator in node.decorator_list
             for part in [decorator] if isinstance(part, (ast.Name, ast.Attribute))}  # fmt: skip
    return bool(names & PROPERTIES)


def not_a_verb(line):
    """Whether a first line does not begin with a verb as in "Decode ..." or "Return ..."."""
    word = re.match(r"[A-Z][a-z]*(?![\w.])", line)
    if word is None:
        return True
    verb = word[0].lower()
    return verb in NO_VERBS or (verb.endswith("s") and verb not in VERBS_IN_S)


def entries(text):
    """The entries of the sections of a docstring, each as one text."""
    for name in SECTIONS:
        section = re.search(rf"^{name}:\n((?:[ ]+.*\n?|\n(?=[ ]))*)", text, re.MULTILINE)
        if section and name in ("Args", "Attributes", "Raises"):
            yield from re.findall(r"^    [\w.*]+: ((?:.*\n?(?:^ {8}.*\n?)*))", section[1], re.MULTILINE)
        elif section:
            yield section[1]


def faults(path):
    """What is wrong with the docstrings of a file, one line each."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)):
            continue
        text = ast.get_docstring(node)
        if not text:
            continue
        where = f"{path}:{getattr(node, 'lineno', 1)}"
        first = text.partition("\n")[0]
        if isinstance(node, ast.FunctionDef) and not is_property(node) and not_a_verb(first):
            yield f"{where}: a function begins with a verb (Decode, Return, ...): {first}"
        if not first.endswith((".", ":", '."', "?")):
            yield f"{where}: the first line ends in a period: {first}"
        for entry in entries(text):
            said = " ".join(entry.split())
            if re.match(r"[a-z]", said) or not said.endswith((".", ":", '."', ")")):
                yield f"{where}: an entry begins with a capital and ends in a period: {said}"


@pytest.mark.parametrize("room", sorted({path.relative_to(SRC).parts[0] for path in SRC.rglob("*.py")}))
def test_docstrings_speak_one_dialect(room):
    paths = [SRC / room] if room.endswith(".py") else sorted((SRC / room).rglob("*.py"))
    assert not [fault for path in paths for fault in faults(path)]


@pytest.mark.skipif(not BENCH.exists(), reason="dyto is installed without its repository")
def test_the_second_distribution_speaks_it_too():
    assert not [fault for path in sorted(BENCH.rglob("*.py")) for fault in faults(path)]
