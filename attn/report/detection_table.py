"""Tables of `detection.json`, in per cent: lines for the log or the terminal, and a Markdown page.

Every table names its evaluator, its definition of average precision, the videos, and those that were left out.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from attn.errors import some

Record = Mapping[str, Any]
_SAME = "Differences in points, paired by video; evaluator, AP, tIoUs and videos as above."


def detection_lines(record: Record) -> Iterator[str]:
    """Lines of a short table: the mAP of each evaluator and file at each threshold.

    Args:
        record: content of `detection.json`.
    """
    width = max(len(_short(one)) for one in record["results"])
    yield _videos(record)
    yield f"{'mAP in %':<{width}} " + " ".join(f"{value:>5g}" for value in record["tiou"]) + "  mean"
    for one in record["results"]:
        yield f"{_short(one):<{width}} " + " ".join(f"{100 * value:5.1f}" for value in _values(one))
    for one in record["paired"]:
        yield f"{one['first']} - {one['second']}, {one['evaluator']}, mean: {_signed(one, -1)}"


def detection_markdown(record: Record) -> str:
    """Markdown page: a table for each evaluator, paired differences, warnings."""
    parts = ["# Temporal detection", _videos(record) + "."]
    if record["intervals"]:
        parts.append(f"In parentheses: {record['intervals']}.")
    for (evaluator, ap), rows in groupby(record["results"], key=lambda one: (one["evaluator"], one["ap"])):
        found = list(rows)
        parts += [f"## {evaluator}", _caption(found[0], record), "\n".join(_table(found, record))]
        if pairs := [one for one in record["paired"] if (one["evaluator"], one["ap"]) == (evaluator, ap)]:
            parts += [_SAME, "\n".join(_differences(pairs, record))]
    if record["warnings"]:
        parts += ["## Warnings", "\n".join(f"* {warning}" for warning in record["warnings"])]
    return "\n\n".join(parts) + "\n"


def _short(one: Record) -> str:
    return f"{one['evaluator']} ({one['ap']}) {one['detections']}"


def _videos(record: Record) -> str:
    about = record["ground_truth"]
    subset = f" ({about['subset']})" if about["subset"] else ""
    return (
        f"{about['file']}{subset}: {about['videos']} videos, {about['segments']} segments, "
        f"{about['classes']} classes; excluded: {', '.join(about['excluded']) or 'none'}; annotated without a segment: "
        f"{some(about['without_segments']) or 'none'}"
    )


def _caption(one: Record, record: Record) -> str:
    excluded = ", ".join(record["ground_truth"]["excluded"]) or "none"
    steps = f"; times in steps of {one['step_s']:g} s" if one["step_s"] else ""
    return (
        f"mAP in % over {one['classes']} classes by tIoU. Evaluator {one['evaluator']}: {one['rule']}; Ambiguous "
        f"segments {one['ambiguous']}{steps}. AP {one['ap']}: {one['ap_definition']}. {one['videos']} videos; "
        f"excluded: {excluded}."
    )


def _table(rows: list[Record], record: Record) -> Iterator[str]:
    yield from _head("detections", record)
    for one in rows:
        cells = [
            f"{100 * value:.1f}{_interval(bounds)}" for value, bounds in zip(_values(one), _bounds(one), strict=True)
        ]
        yield f"| {' | '.join([one['detections'], *cells])} |"


def _differences(pairs: list[Record], record: Record) -> Iterator[str]:
    yield from _head("difference", record)
    for one in pairs:
        cells = [_signed(one, i) for i in range(len(_values(one)))]
        yield f"| {' | '.join([one['first'] + ' - ' + one['second'], *cells])} |"


def _head(first: str, record: Record) -> Iterator[str]:
    names = [first, *(f"{value:g}" for value in record["tiou"]), "mean"]
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"


def _values(one: Record) -> list[float]:
    return [*one["map"], one["average_map"]]


def _bounds(one: Record) -> list[Any]:
    return [*one["map_intervals"], one["average_map_interval"]]


def _signed(one: Record, which: int) -> str:
    return f"{100 * _values(one)[which]:+.1f}{_interval(_bounds(one)[which], sign='+')}"


def _interval(bounds: list[float] | None, sign: str = "") -> str:
    if bounds is None:
        return ""
    low, high = (f"{100 * bound:{sign}.1f}" for bound in bounds)
    return f" ({low} to {high})"
