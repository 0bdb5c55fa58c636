"""Times formatted for people."""

from __future__ import annotations


def clock(second: float) -> str:
    """Format a time in a video.

    Example:
        >>> clock(3.25), clock(59.96), clock(75.5), clock(3725)
        ('3.2 s', '1:00.0', '1:15.5', '1:02:05')
    """
    tenths = round(float(second) * 10)
    if tenths < 600:
        return f"{tenths / 10:.1f} s"
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest // 10:02d}"
    return f"{minutes}:{rest / 10:04.1f}"
