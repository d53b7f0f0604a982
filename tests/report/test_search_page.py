import csv
import io

import numpy as np
import pytest
from PIL import Image

from attn.report.search_page import SearchFigures, as_csv, as_markdown, draw_importance, draw_parallel, draw_progress


def trial(number, accuracy, status, **settings):
    rows = [(100, accuracy / 2), (200, accuracy)]
    return {
        "trial": number,
        "status": status,
        "validation_accuracy": accuracy,
        "update": 200,
        "seconds": 4.0,
        **settings,
        "rows": rows,
    }


FIGURES = SearchFigures(
    [
        trial(2, 0.75, "finished", lr=1e-3, map_scale="rms", num_hard=8),
        trial(1, 0.5, "finished", lr=1e-4, map_scale="rms", num_hard=64),
        trial(3, 0.8, "stopped", lr=1e-2, map_scale="none"),
    ],
    ["lr", "map_scale", "num_hard"],
    {"lr": 0.9, "map_scale": 0.1},
    400,
    {"trials": 3, "stopped_early": 1, "held_out_videos": 40, "standard_error": 0.068},
    12.0,
)


def test_the_table_has_the_best_first_and_says_what_it_was_judged_by():
    page = as_markdown(FIGURES)
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert rows[2] == "| 2 | 75.0 % | finished | 200 | 0.001 | rms | 8 |"
    assert rows[4] == "| 3 | 80.0 % | stopped | 200 | 0.01 | none |  |"
    assert "3 trials, 1 of them stopped early" in page
    assert "40 training videos" in page
    assert "| lr | 90 % |" in page
    assert "after 400 updates" in page
    assert "6.8 points" in page


def test_the_csv_has_a_line_per_trial():
    rows = list(csv.DictReader(io.StringIO(as_csv(FIGURES))))
    assert [row["trial"] for row in rows] == ["2", "1", "3"]
    assert [row["num_hard"] for row in rows] == ["8", "64", ""]
    assert "rows" not in rows[0]


@pytest.mark.parametrize("draw", [draw_parallel, draw_importance, draw_progress])
@pytest.mark.parametrize("figures", [FIGURES, FIGURES._replace(trials=FIGURES.trials[:1], importance={})])
def test_pictures_show_something(draw, figures):
    image = np.asarray(Image.open(io.BytesIO(draw(figures))).convert("RGB"))
    assert min(image.shape[:2]) > 100
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20


def test_the_best_trial_looks_different_from_the_worst():
    """Exchanging their accuracies exchanges their colours."""
    first, second, third = FIGURES.trials
    exchanged = [{**first, "validation_accuracy": 0.5}, {**second, "validation_accuracy": 0.75}, third]
    assert draw_parallel(FIGURES) != draw_parallel(FIGURES._replace(trials=exchanged))
