"""Ablation of the strategy `plus`: the effect of each of its choices, and where rivals win.

    python ablation coverage [--split dev] [--films 30]
    python ablation accuracy [--split dev] [--videos 10] [--only rivals] [--work FOLDER] [--model FOLDER]
    python ablation speed
    python ablation long [--split dev] [--videos 6] [--save FILE] [--work FOLDER]

`coverage` needs no model. `accuracy` draws films and lets the bundled model answer; `--videos` counts films of each of
the seven regimes, a minute or two a film and core for everything. Films and features are kept in the work folder.
`long` measures `plus` and its rivals on films of 20 seconds to an hour in ten regimes (`PLAN_2026.md`), `--videos` of
each regime, six to twenty seconds a film. Both go on from the file of `--save`, and `--report` prints what is in it.
"""

import argparse
import sys
from pathlib import Path

import accuracy
import covering
import long_run
import speed
import variants

CHOICES = {
    "all": list(variants.VARIANTS),
    "rivals": ["plus", "plus-2025", "oracle", *variants.RIVALS],
    "taken-back": ["plus", "oracle", *(name for name in variants.VARIANTS if name.startswith("plus-2025"))],
}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("coverage", "accuracy", "speed", "long"))
    parser.add_argument("--split", choices=("dev", "test"), default="dev", help="search on dev, report test once")
    parser.add_argument("--films", type=int, default=30, help="coverage: films of each kind and regime")
    parser.add_argument("--videos", type=int, help="accuracy, long: films of each regime; 10, or what a report has")
    parser.add_argument(
        "--only",
        nargs="+",
        default=["all"],
        metavar="NAME",
        help="accuracy: variants, or one of " + ", ".join(CHOICES) + "; long: likewise, rivals or blind",
    )
    parser.add_argument("--budgets", type=int, nargs="+", default=accuracy.BUDGETS)
    parser.add_argument("--work", type=Path, default=Path("outputs/ablation"), help="where films are kept")
    parser.add_argument("--model", help="a checkpoint of the bundled model's kind")
    parser.add_argument("--save", type=Path, help="accuracy: add every answer to this file, and go on from it")
    parser.add_argument("--first", type=int, default=0, help="long: begin with this film of each regime")
    parser.add_argument("--report", action="store_true", help="print what the file of --save holds, of these films")
    options = parser.parse_args(argv)
    if options.what == "coverage":
        print(covering.report(covering.measure(options.split, options.films)))
    elif options.what == "speed":
        print(speed.report())
    elif options.what == "long":
        print(long_run.report(long_rows(options)))
    else:
        print(films_report(options))


def films_report(options):
    """Tables of the films of 20 seconds: of a file, or measured."""
    names = [name for given in options.only for name in CHOICES.get(given, [given])]
    if options.report:
        rows = kept_rows(options, names, options.budgets)
    else:
        films = (options.videos or 10, names, options.budgets, options.model, options.save)
        rows = accuracy.measure(options.work, options.split, *films)
    count = len({row[2] for row in rows})
    tables = [accuracy.table(rows), accuracy.by_regime(rows)]
    if any(row[0] == "plus" for row in rows):
        tables += [accuracy.leads(rows, "budget"), accuracy.leads(rows, "regime")]
    return "\n\n".join([f"{count} films; percent right, difference over all budgets", *tables])


def kept_rows(options, names, budgets):
    """The rows of a file, of the films, names and budgets that are named."""
    return [
        row
        for row in accuracy.load(options.save)
        if (options.only == ["all"] or row[0] in names)
        and (options.budgets == accuracy.BUDGETS or row[1] in budgets)
        and options.first <= int(row[2].rsplit("_", 1)[1]) < (options.videos or 10**9)
    ]


def long_rows(options):
    """Return the rows of the yardstick, from a file or measured."""
    blind = [*long_run.VARIANTS, *long_run.MORE]
    every = {"all": [*blind, *long_run.ASKING], "rivals": list(long_run.VARIANTS), "blind": blind}
    names = [name for given in options.only for name in every.get(given, [given])]
    budgets = long_run.BUDGETS if options.budgets == accuracy.BUDGETS else options.budgets
    if options.report:
        return kept_rows(options, names, budgets)
    work = options.work if options.split == "dev" else None  # an hour of film is seen in a second, and takes 30 MB
    films = (options.videos or 10, names, budgets, options.save, work, options.first, options.model)
    return long_run.measure(options.split, *films)


if __name__ == "__main__":
    sys.exit(main())
