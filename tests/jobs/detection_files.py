"""Small files of ground truth and detections, as the evaluation of detections takes them."""

from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "jobs/evaluate_detection.py"

TRUTH = {
    "a": [("Wave", 0, 10), ("Wave", 20, 30), ("Kick", 5, 9)],
    "b": [("Wave", 0, 4), ("Kick", 10, 20)],
    "c": [("Kick", 0, 6)],
}
FOUND = {
    "a": [("Wave", 0, 10, 0.9), ("Wave", 21, 30, 0.4), ("Kick", 30, 35, 0.6)],
    "b": [("Kick", 10, 14, 0.8), ("Wave", 0, 4, 0.3)],
    "c": [("Kick", 0, 6, 0.5)],
}


def truth_json(truth=None, **videos):
    database = {
        name: {
            "subset": "test",
            "annotations": [{"label": label, "segment": [start, end]} for label, start, end in rows],
        }
        for name, rows in (truth or TRUTH).items()
    }
    for name, changes in videos.items():
        database[name] = database.get(name, {"subset": "test", "annotations": []}) | changes
    return {"database": database}


def results_json(found=None):
    return {
        "results": {
            name: [{"label": label, "segment": [start, end], "score": score} for label, start, end, score in rows]
            for name, rows in (FOUND if found is None else found).items()
        }
    }
