"""Choice among methods that were compared on the same labelled videos: labels must earn their place.

The best method without labels is the one to beat. A method with labels is chosen if its paired gain is at least one
standard error, of those the one with the largest gain; otherwise the one without labels stays. The standard error is a
quarter of the width of the 95 % interval, about. With 30 labelled videos it is some 7 points: a rule that asked for
95 % would hardly ever choose labels, one that asked for nothing would often lose by them.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

Z_95 = 1.96


class Choice(NamedTuple):
    """Chosen method.

    Attributes:
        method: record of the method.
        best_free: record of the best method without labels.
        gain: paired difference of the two, None if they are the same.
    """

    method: Mapping[str, Any]
    best_free: Mapping[str, Any]
    gain: Mapping[str, Any] | None


def choose_method(
    methods: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]], figure: str, *, without_labels: Set[str]
) -> Choice:
    """Method to use.

    Args:
        methods: records with `method`, `trained_on` and the figure; of equally good ones the first counts.
        pairs: paired differences with `first`, `second`, `trained_on` (of the first), `value` and `interval`.
        figure: key of the figure that decides.
        without_labels: values of `trained_on` of methods that have seen no label of a video.
    """
    best = max((one for one in methods if one["trained_on"] in without_labels), key=lambda one: one[figure]["value"])
    gains = [
        (pair, one)
        for one in methods
        for pair in pairs
        if one["trained_on"] not in without_labels
        and (pair["first"], pair["trained_on"]) == (one["method"], one["trained_on"])
        and pair["second"] == best["method"]
        and pair["value"] > 0
        and pair["value"] >= standard_error(pair)
    ]
    if not gains:
        return Choice(best, best, None)
    gain, method = max(gains, key=lambda one: one[0]["value"])
    return Choice(method, best, gain)


def standard_error(estimate: Mapping[str, Any]) -> float:
    """Standard error of an estimate, from its 95 % interval."""
    low, high = estimate["interval"]
    return (high - low) / (2 * Z_95)
