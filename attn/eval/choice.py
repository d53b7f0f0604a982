"""Choice among methods that were compared on the same labelled videos.

The best method without labels is the baseline. A method with labels is chosen if its paired gain over the baseline is
at least one standard error; among several, the one with the largest gain. Otherwise the baseline is chosen. The
standard error is about a quarter of the width of the 95 % interval. With 30 labelled videos it is about 7 points: a
rule that required significance at 95 % would hardly ever choose a method with labels, and a rule without a threshold
would often choose a worse one.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

Z_95 = 1.96


class Choice(NamedTuple):
    """Result of a choice.

    Attributes:
        method: record of the chosen method.
        best_free: record of the best method without labels.
        gain: paired difference of the two; None if they are the same method.
    """

    method: Mapping[str, Any]
    best_free: Mapping[str, Any]
    gain: Mapping[str, Any] | None


def choose_method(
    methods: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]], figure: str, *, without_labels: Set[str]
) -> Choice:
    """Choose the method to use.

    Args:
        methods: records with `method`, `trained_on` and the figure; the first of several equally good ones is chosen.
        pairs: paired differences with `first`, `second`, `trained_on` (of the first), `value` and `interval`.
        figure: key of the figure to compare.
        without_labels: values of `trained_on` that identify methods trained without video labels.
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
