"""The settings of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dyto.comparing.cells import SIMPLE_RIVALS, Cell, make_cells, parse_budgets, parse_strategies
from dyto.comparing.tally import MARGIN
from dyto.errors import ConfigError, unknown
from dyto.evaluation.asking import SCORINGS
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.questions import Questions
from dyto.evaluation.settings import Settings
from dyto.strategies.published import split_names

DEFAULT_BUDGETS = "1.6f,3.2f,6.4f,12.8f,25.6f"


@dataclass(frozen=True)
class Comparison:
    """The settings of a comparison.

    Args:
        settings: Benchmark, model, sampling and scoring, the same for all; its strategy is ignored.
        out: Folder for everything that is written.
        strategies: Comma-separated names, as in `find_strategy`; "all" for all that take a budget.
            `uniform` is added if it is missing.
        budgets: Comma-separated: tokens ("230"), or whole frames ("6.4f").
        rotate: Ask every multiple choice question in every rotation of its options.
        blind: Also ask without any video.
        rivals: Comma-separated names of simple strategies, of which the best is the rival; None for
            those of `SIMPLE_RIVALS` that take part.
        by: Breakdowns by several groupings at once, with a plus between them: "length+regime". "kind" is another word
            for "type".
        margin: By how much a strategy may be worse without being inferior.
    """

    settings: Settings
    out: Path
    strategies: str = "all"
    budgets: str = DEFAULT_BUDGETS
    rotate: bool = False
    blind: bool = True
    rivals: str | None = None
    by: tuple[str, ...] = ()
    margin: float = MARGIN

    def __post_init__(self) -> None:
        kind, scoring = self.settings.spec.kind, self.settings.scoring
        if kind == "generative":
            raise ConfigError(
                f"{self.settings.spec.title} needs a judge, expected a benchmark with options or short answers: "
                "use dyto eval for each strategy"
            )
        if scoring not in SCORINGS:
            raise unknown("scoring", scoring, SCORINGS)
        if kind != "choice" and (self.rotate or scoring != "letter"):
            raise ConfigError(f"{self.settings.spec.title} has no options to rotate or to score by likelihood")
        if self.rotate and scoring == "likelihood":
            raise ConfigError(
                "found --rotate with --scoring likelihood, which shows no options to rotate: leave one out"
            )
        object.__setattr__(self, "by", tuple("+".join(map(self._grouping, name.split("+"))) for name in self.by))
        for name in [part for crossing in self.by for part in crossing.split("+")]:
            if name not in self.settings.spec.groupings:
                raise unknown("breakdown", name, self.settings.spec.groupings)
        if not 0 < self.margin < 1:
            raise ConfigError(f"margin is {100 * self.margin:g} points, expected more than 0 and less than 100")
        for name in self.rival_names:
            if self.rivals is not None and name not in self.names:
                raise unknown("rival", name, self.names)

    def _grouping(self, name: str) -> str:
        return "type" if name == "kind" and "kind" not in self.settings.spec.groupings else name

    @property
    def names(self) -> list[str]:
        """The strategies, `uniform` among them."""
        return parse_strategies(self.strategies)

    @property
    def rival_names(self) -> list[str]:
        """Names of the simple strategies, of which the best is the rival."""
        if self.rivals is None:
            return [name for name in SIMPLE_RIVALS if name in self.names]
        return split_names(self.rivals)

    @property
    def folders(self) -> RunFolders:
        """The folders of the comparison."""
        return RunFolders(self.out, self.out, self.out, self.out)

    def cells(self, num_patches: int) -> list[Cell]:
        """Return every strategy at every budget."""
        return make_cells(self.names, parse_budgets(self.budgets, num_patches), blind=self.blind)

    def config(self, questions: Questions) -> dict[str, Any]:
        """Return what determines the rows, except strategies and budgets, which may be added later."""
        return self.settings.common_config(questions) | {"rotate": self.rotate}
