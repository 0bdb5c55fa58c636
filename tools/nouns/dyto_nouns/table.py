"""Make `src/dyto/nouns/wordnet.tsv` from WordNet: the names of the eye's classes, and the kinds above them.

python -m dyto_nouns.table /usr/share/wordnet     (Debian: apt-get install wordnet-base)

`classes.txt` holds the synset of each of the classifier's outputs, in their order: the 1,000 identifiers of the
ImageNet challenge of 2012, sorted. An identifier is "n" and the offset of a noun in WordNet 3.0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
TABLE = HERE.parents[1] / "src" / "dyto" / "nouns" / "wordnet.tsv"

Synset = tuple[list[str], list[str]]
"""Names, and the synsets above it."""


def read_wordnet(folder: Path) -> dict[str, Synset]:
    """The nouns of a WordNet database: for each synset its names and what is above it.

    Args:
        folder: With `data.noun`, as described in wndb(5).
    """
    nouns = {}
    with open(folder / "data.noun", encoding="ascii") as lines:
        for line in lines:
            if line.startswith(" "):  # the licence, at the head of the file
                continue
            fields = line.partition(" | ")[0].split()
            count = int(fields[3], 16)
            names = [name.replace("_", " ") for name in fields[4 : 4 + 2 * count : 2]]
            pointers = fields[4 + 2 * count + 1 :]
            above = [f"n{pointers[i + 1]}" for i in range(0, len(pointers), 4) if pointers[i] in ("@", "@i")]
            nouns[f"n{fields[0]}"] = (names, above)
    return nouns


def read_names(path: Path) -> dict[int, list[str]]:
    """What the classes are called here, where that is not WordNet's first word: number, then one or more names."""
    lines = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line)
    return {int(number): names.split("|") for number, names in lines}


def upwards(nouns: dict[str, Synset], start: Iterable[str]) -> list[str]:
    """Some synsets and all above them, sorted."""
    found: set[str] = set()
    left = list(start)
    while left:
        if (synset := left.pop()) not in found:
            found.add(synset)
            left += nouns[synset][1]
    return sorted(found)


def table(nouns: dict[str, Synset], classes: list[str], names: dict[int, list[str]]) -> str:
    """The table, a line for each synset: identifier, number of its class or nothing, names, the synsets above."""
    number = {synset: index for index, synset in enumerate(classes)}
    lines = []
    for synset in upwards(nouns, classes):
        words, above = nouns[synset]
        first = names.get(number[synset], []) if synset in number else []
        every = dict.fromkeys([*first, *words])
        lines.append("\t".join([synset, str(number.get(synset, "")), "|".join(every), " ".join(above)]))
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wordnet", type=Path, help="folder with data.noun")
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args(argv)
    classes = (HERE / "classes.txt").read_text(encoding="ascii").split()
    made = table(read_wordnet(options.wordnet), classes, read_names(HERE / "names.tsv"))
    options.out.write_text(made, encoding="utf-8")
    sys.stdout.write(f"{options.out}: {made.count(chr(10))} synsets\n")


if __name__ == "__main__":
    main()
