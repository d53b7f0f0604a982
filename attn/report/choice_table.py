"""Table of the methods that `choose` compared, for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attn.eval.choice import Choice


def choice_table(
    methods: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]], choice: Choice, figure: str
) -> Iterator[str]:
    """Lines of the table: one per method, and one about the choice.

    Rows contain the interval of a method and its paired difference to the best method without labels.

    Args:
        methods: records of the methods, from a reproduction.
        pairs: paired differences of the methods.
        choice: result of the choice.
        figure: key of the figure that was compared.
    """
    best = choice.best_free["method"]
    gains = {(pair["first"], pair["trained_on"]): pair for pair in pairs if pair["second"] == best}
    width = max(len(one["method"]) for one in methods)
    yield f"{'%':<{width}} {'top-1':>6} {'95 % interval':>15} {f'minus {best}':>24}"
    for one in methods:
        low, high = one[figure]["interval"]
        value, interval = f"{100 * one[figure]['value']:.1f}", f"{100 * low:.1f} to {100 * high:.1f}"
        gain = gains.get((one["method"], one["trained_on"]))
        yield f"{one['method']:<{width}} {value:>6} {interval:>15} {_points(gain) if gain else '':>24}".rstrip()
    if choice.gain is None:
        yield f"chosen: {best}, without labels; no method with labels is better by at least one standard error"
    else:
        yield f"chosen: {choice.method['method']}, better than {best} by {_points(choice.gain)} points"


def _points(difference: Mapping[str, Any]) -> str:
    low, high = difference["interval"]
    return f"{100 * difference['value']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
