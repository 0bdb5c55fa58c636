"""Peak memory per stage: of the accelerator or, if the model runs on the CPU, of the process."""

from __future__ import annotations

from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
MIB = 1 << 20


class PeakMemory:
    """The peak memory of each of several consecutive stages.

    Args:
        device: Device of the model.

    Attributes:
        stages: MiB by stage; empty if the system does not report it (a CPU without Linux).
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stage: str | None = None
        self.stages: dict[str, float] = {}

    def begin(self, stage: str | None) -> None:
        """End the current stage, and begin the next, if any."""
        peak = self._peak()
        if self._stage is not None and peak is not None:
            self.stages[self._stage] = max(peak / MIB, self.stages.get(self._stage, 0.0))
        self._stage = stage
        if stage is not None:
            self._reset()

    def _peak(self) -> int | None:
        if self._device.type in ("cuda", "xpu"):
            return int(getattr(torch, self._device.type).max_memory_allocated(self._device))
        if self._device.type != "cpu":
            return None
        if not _STATUS.exists():
            return None
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None

    def _reset(self) -> None:
        if self._device.type in ("cuda", "xpu"):
            getattr(torch, self._device.type).reset_peak_memory_stats(self._device)
        elif _RESET.exists():
            _RESET.write_text("5")  # reset the peak to the current use; nothing else changes
