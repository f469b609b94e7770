"""Lengths, sizes and times as people say them."""

from __future__ import annotations


def length(seconds: float) -> str:
    """"0:07", "12:34" or "1:02:03"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size_of(count: float) -> str:
    """"512 kB", "7.4 MB" or "128 GB"."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def about(seconds: float) -> str:
    """A length of time, roughly: "40 s", "12 min", "5 h", "over a day"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 100_000 else "over a day"
