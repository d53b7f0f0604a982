"""Human-readable durations."""


def clock(seconds: float) -> str:
    """Format seconds as hours, minutes and seconds: `0:02:20`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
