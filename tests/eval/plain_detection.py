"""The published rules as loops over one detection or segment at a time, from the specification; slow and independent.

A segment is (video, label, start, end), a detection (video, label, start, end, score).
"""


def tiou(first, second):
    inter = max(0.0, min(first[3], second[3]) - max(first[2], second[2]))
    return inter / ((first[3] - first[2]) + (second[3] - second[2]) - inter) if inter else 0.0


def by_score(detections):
    return sorted(detections, key=lambda one: -one[4])  # stable


def activitynet(detections, truth, ambiguous, threshold):
    """Marks of the ranked detections: 1 right, 0 wrong."""
    locked, marks = set(), []
    for one in by_score(detections):
        candidates = [(tiou(one, g), i) for i, g in enumerate(truth) if g[0] == one[0]]
        mark = 0
        for value, i in sorted(candidates, key=lambda pair: -pair[0]):
            if value < threshold:
                break
            if i not in locked:
                locked.add(i)
                mark = 1
                break
        marks.append(mark)
    return marks


def thumos14(detections, truth, ambiguous, threshold):
    ranked = by_score(detections)
    used = set()
    for segment in truth:
        free = [i for i, one in enumerate(ranked) if one[0] == segment[0] and i not in used]
        if free:
            best = max(free, key=lambda i: (tiou(ranked[i], segment), -i))
            if tiou(ranked[best], segment) > threshold:
                used.add(best)
    unsure = [any(a[0] == one[0] and tiou(one, a) > 0 for a in ambiguous) for one in ranked]
    return [int(i in used) for i in range(len(ranked)) if i in used or not unsure[i]]


def wtalc(detections, truth, ambiguous, threshold):
    left, marks = list(truth), []
    kept = [one for one in detections if not any(a[0] == one[0] and tiou(one, a) > 0 for a in ambiguous)]
    for one in by_score(kept):
        first = next((g for g in left if g[0] == one[0] and tiou(one, g) >= threshold), None)
        if first is not None:
            left.remove(first)
        marks.append(int(first is not None))
    return marks


def average_precision(marks, npos, kind):
    precision = [sum(marks[: i + 1]) / (i + 1) for i in range(len(marks))]
    if kind == "noninterpolated":
        return sum(p for p, mark in zip(precision, marks, strict=True) if mark) / npos
    if kind == "11point":
        recall = [sum(marks[: i + 1]) / npos for i in range(len(marks))]
        points = ([p for p, r in zip(precision, recall, strict=True) if r >= t / 10 - 1e-12] for t in range(11))
        return sum(max(above, default=0) for above in points) / 11
    return sum(max(precision[i:]) for i, mark in enumerate(marks) if mark) / npos


RULES = {"activitynet": activitynet, "thumos14": thumos14, "wtalc": wtalc}


def mean_ap(evaluator, detections, truth, ambiguous, threshold, kind):
    """Mean over the classes with ground truth."""
    if evaluator == "wtalc":
        annotated = {g[0] for g in truth}
        detections = [one for one in detections if one[0] in annotated]
    found = []
    for label in sorted({g[1] for g in truth}):
        segments = [g for g in truth if g[1] == label]
        marks = RULES[evaluator]([one for one in detections if one[1] == label], segments, ambiguous, threshold)
        found.append(average_precision(marks, len(segments), kind))
    return sum(found) / len(found)
