"""Pieces from the scores of videos: gains by class, confusion, average precision, and the class of every video."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from attn.classes import single_labels
from attn.commands.reproduction.cell_scores import FEW_LABELS, FEW_LABELS_ZERO_SHOT, NAMES, Runs
from attn.eval.metrics import class_average_precision, class_rankings, confusion_matrix, per_class_accuracy
from attn.eval.pooled import Run
from attn.report.page_blocks import Chart, Note, Piece, Table
from attn.report.page_charts import confusion_chart, gain_chart, precision_chart
from attn.stages.scoring import CALIBRATED

BASELINE = "cnn"
GAINERS = ("unatt", "energynet")
MOST_CLASSES = 25
"""Number of classes in a chart of gains, as in the paper's Figure 4."""
MOST_MISTAKES = 300
SHOWN = {
    **NAMES,
    FEW_LABELS: "EnergyNet, adapted CNN",
    FEW_LABELS + CALIBRATED: "calibrated EnergyNet, adapted CNN",
    FEW_LABELS_ZERO_SHOT: "EnergyNet, zero-shot CNN",
    FEW_LABELS_ZERO_SHOT + CALIBRATED: "calibrated EnergyNet, zero-shot CNN",
}
"""Names of methods on the page, which lists all EnergyNets of a share together."""
MISSING = "–"


@dataclasses.dataclass(frozen=True)
class ScoreSet:
    """Scores of the test videos by the methods on one CNN, or on CNNs of several splits and seeds.

    Attributes:
        label: name of the CNN in lists; empty if there is only one.
        class_names: class names.
        methods: runs by the name of the scores.
        video_ids: IDs of the videos of each split, in the order of the scores.
    """

    label: str
    class_names: Sequence[str]
    methods: Mapping[str, Runs]
    video_ids: Mapping[str, Sequence[str]]


def method_name(scores: str) -> str:
    """Name of a method on the page."""
    return SHOWN.get(scores, scores)


def pieces_of_scores(scored: ScoreSet) -> Iterator[Piece]:
    """Yield everything that is computed from scores; accuracies only if each video has exactly one class."""
    if all(single_labels(run.positives) is not None for run in _runs(scored)):
        yield from _gains(scored)
        for method, runs in scored.methods.items():
            yield from _confusion(scored, method, runs)
    yield from _precision(scored)
    note = "✓ is right. A class is the wrong prediction, the most frequent one if there are several seeds."
    yield Piece("videos", Note(note), scored.label)
    yield Piece("videos", _videos(scored), scored.label)


def over_runs(runs: Runs, figure: Callable[[Run], np.ndarray]) -> np.ndarray:
    """Mean over splits of the mean over seeds of figures by class; NaN for a class that no split tests."""
    by_split = np.array([np.mean([figure(run) for run in seeds.values()], axis=0) for seeds in runs.values()])
    known = np.isfinite(by_split)
    total = np.where(known, by_split, 0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(len(total), np.nan), where=known.any(axis=0))


def _gains(scored: ScoreSet) -> Iterator[Piece]:
    """Accuracy of each class by each method, and charts of the classes with the largest gain."""
    base = scored.methods.get(BASELINE)
    gainers = [method for method in GAINERS if method in scored.methods]
    if base is None or not gainers:
        return
    by_method = {method: over_runs(scored.methods[method], _accuracy) for method in (BASELINE, *gainers)}
    videos = _videos_by_class(scored)
    yield Piece("gains", Note(_one_video(videos)), scored.label)
    all_gains = {method: by_method[method] - by_method[BASELINE] for method in gainers}
    orders = {method: _largest(gains) for method, gains in all_gains.items()}
    shown = np.concatenate([all_gains[method][order] for method, order in orders.items()])
    for method, gains in all_gains.items():
        order = orders[method]
        title = f"{method_name(method)} minus {method_name(BASELINE)}, {len(order)} classes"
        names = [scored.class_names[one] for one in order]
        figure = gain_chart(names, gains[order], (shown.min(), shown.max()))
        chart = Chart(f"gains.{scored.label}.{method}", title, figure, _counted(gains))
        yield Piece("gains", chart, scored.label)
    head = ["class", "videos", *(f"{method_name(method)}, %" for method in by_method)]
    head += [f"{method_name(method)} − {method_name(BASELINE)}" for method in gainers]
    rows = [
        [
            name,
            str(videos[place]),
            *(_percent(values[place]) for values in by_method.values()),
            *(_percent(gains[place], "+") for gains in all_gains.values()),
        ]
        for place, name in enumerate(scored.class_names)
    ]
    yield Piece("gains", Table(head, rows, "Top-1 accuracy by class"), scored.label)


def _largest(gains: np.ndarray) -> list[int]:
    """Classes with the largest gains, best first; classes without videos are left out."""
    order: list[int] = np.argsort(-gains, kind="stable").tolist()
    return [one for one in order if np.isfinite(gains[one])][:MOST_CLASSES]


def _confusion(scored: ScoreSet, method: str, runs: Runs) -> Iterator[Piece]:
    each = [confusion_matrix(run.scores, run.labels) for seeds in runs.values() for run in seeds.values()]
    counts = np.sum(each, axis=0)
    names, label = scored.class_names, ", ".join(filter(None, (scored.label, method_name(method))))
    seeds = max(map(len, runs.values()))
    counted = f"; each video counts {seeds} times, once per seed" if seeds > 1 else ""
    caption = f"In per cent of each true class. {np.trace(counts)} of {counts.sum()} are right{counted}."
    chart = Chart(f"confusion.{label}", f"Confusion: {label}", confusion_chart(names, counts), caption)
    yield Piece("confusion", chart, label)
    wrong = [(true, said) for true, said in np.argwhere(counts).tolist() if true != said]
    wrong.sort(key=lambda pair: -counts[pair])
    rows = [
        [names[true], names[said], str(counts[true, said]), _percent(counts[true, said] / counts[true].sum())]
        for true, said in wrong[:MOST_MISTAKES]
    ]
    title = "Mistakes" if len(wrong) <= MOST_MISTAKES else f"The {MOST_MISTAKES} most frequent of {len(wrong)} mistakes"
    yield Piece("confusion", Table(["true", "predicted", "videos", "of the class, %"], rows, title), label)


def _precision(scored: ScoreSet) -> Iterator[Piece]:
    listed = [method for method in scored.methods if method in SHOWN] or list(scored.methods)  # models of any name
    by_method = {
        method: over_runs(
            scored.methods[method], lambda run: class_average_precision(class_rankings(run.scores), run.positives)
        )
        for method in listed
    }
    if not by_method:
        return
    named = {method_name(method): values for method, values in by_method.items()}
    title = "Average precision by class, non-interpolated"
    figure = precision_chart(scored.class_names, by_method, list(named))
    caption = "A dot per method: the mean over the ranks of the class's videos, over splits and seeds."
    yield Piece("precision", Chart(f"precision.{scored.label}", title, figure, caption), scored.label)
    rows = [
        [name, *(_percent(values[place]) for values in named.values())] for place, name in enumerate(scored.class_names)
    ]
    yield Piece("precision", Table(["class", *(f"{one}, %" for one in named)], rows), scored.label)


def _videos(scored: ScoreSet) -> Table:
    """Table of all test videos: a tick for each method that is right, otherwise the class that it predicts."""
    names, several = scored.class_names, len(scored.video_ids) > 1
    rows = []
    for split, video_ids in scored.video_ids.items():
        by_method = [runs.get(split, {}) for runs in scored.methods.values()]
        positives = next(run.positives for seeds in by_method for run in seeds.values())
        said = [_predicted(seeds, len(names)) if seeds else None for seeds in by_method]
        for place, (video_id, true) in enumerate(zip(video_ids, positives, strict=True)):
            found = [None if one is None else int(one[place]) for one in said]
            cells = [MISSING if one is None else "✓" if true[one] else names[one] for one in found]
            classes = ", ".join(names[one] for one in np.flatnonzero(true).tolist()) or MISSING
            rows.append([video_id, *[split] * several, classes, str(cells.count("✓")), *cells])
    head = ["video", *["split"] * several, "class", "methods right", *map(method_name, scored.methods)]
    return Table(head, rows)


def _predicted(seeds: Mapping[int, Run], num_classes: int) -> np.ndarray:
    """Class of each video that most seeds predict, the lower index if several are equally frequent."""
    votes = np.stack([run.scores.argmax(axis=1) for run in seeds.values()], axis=1)
    return np.array([np.bincount(one, minlength=num_classes).argmax() for one in votes])


def _accuracy(run: Run) -> np.ndarray:
    return per_class_accuracy(run.scores, run.labels)


def _runs(scored: ScoreSet) -> Iterator[Run]:
    return (run for runs in scored.methods.values() for seeds in runs.values() for run in seeds.values())


def _labels(scored: ScoreSet) -> np.ndarray:
    """Labels of the videos of all splits."""
    runs = max(scored.methods.values(), key=len)
    return np.concatenate([next(iter(seeds.values())).labels for seeds in runs.values()])


def _videos_by_class(scored: ScoreSet) -> np.ndarray:
    return np.bincount(_labels(scored), minlength=len(scored.class_names))


def _one_video(videos: np.ndarray) -> str:
    present = videos[videos > 0]
    low, high = present.min(), present.max()
    counted = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"The classes have {counted} test videos each: one video more is up to {100 / low:.1f} points, and the largest "
        "of many gains are partly luck."
    )


def _counted(gains: np.ndarray) -> str:
    known = gains[np.isfinite(gains)]
    return f"Of {len(known)} classes, {(known > 0).sum()} gain, {(known < 0).sum()} lose."


def _percent(share: float, sign: str = "") -> str:
    return f"{100 * share:{sign}.1f}" if np.isfinite(share) else MISSING
