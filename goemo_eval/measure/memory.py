"""Peak resident memory of this process since it began."""

from __future__ import annotations

from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_rss_bytes() -> int | None:
    """Return the peak resident bytes of this process, everything in it included.

    It is a cell's only in a process that holds nothing else. None where the platform does not
    tell.
    """
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:  # other than Linux has no such file
        return None
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM:")), None)
