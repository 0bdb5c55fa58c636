"""The outcome of an examination."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PASSED, FAILED, SKIPPED = "passed", "FAILED", "not examined"


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: Name of the check.
        outcome: "passed", "FAILED" or "not examined".
        detail: The finding, or why the check was skipped.
    """

    name: str
    outcome: str
    detail: str


@dataclass(frozen=True)
class Report:
    """The findings about a strategy.

    Attributes:
        strategy: Its name.
        model: The model it was examined with.
        checks: Every check, in order.
    """

    strategy: str
    model: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.outcome != FAILED for check in self.checks)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(check.name for check in self.checks if check.outcome == FAILED)

    def __str__(self) -> str:
        width = max(len(check.name) for check in self.checks)
        lines = [f"{check.name:<{width}}  {check.outcome:<12}  {check.detail}" for check in self.checks]
        verdict = "no fault found" if self.passed else f"failed: {', '.join(self.failed)}"
        return "\n".join([*lines, f"strategy {self.strategy} with model {self.model}: {verdict}"])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {"strategy": self.strategy, "model": self.model, "passed": self.passed} | {
            "checks": [asdict(check) for check in self.checks]
        }
