"""Peak resident memory of this process over a stretch of work."""

from __future__ import annotations

from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def reset_peak_rss() -> bool:
    """Forget the peak so far. Return whether the platform can (Linux can)."""
    try:
        _CLEAR.write_text("5")  # man 5 proc: resets the peak resident set size
    except OSError:
        return False
    return True


def peak_rss_bytes() -> int | None:
    """Return the peak resident bytes since `reset_peak_rss`, everything in the process included.

    None where the platform does not tell: a peak that could not be reset would be another cell's.
    """
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
