import csv
import io

import numpy as np
from PIL import Image

from attn.report.search_page import SearchFigures, as_csv, as_markdown, draw


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
    {"trials": 3, "stopped_early": 1, "held_out_videos": 40, "validation_accuracy": 0.75, "standard_error": 0.068},
    12.0,
)


def test_the_table_has_the_best_first_and_says_what_it_was_judged_by():
    page = as_markdown(FIGURES)
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert rows[2] == "| 2 | 75.0 % | finished | 200 | 0.001 | rms | 8 |"
    assert rows[4] == "| 3 | 80.0 % | stopped | 200 | 0.01 | none |  |"
    assert "3 trials, 1 of them stopped early" in page
    assert "40 held-out training videos" in page
    assert "| lr | 90 % |" in page
    assert "after 400 updates" in page
    assert "75.0 ± 6.8 %" in page


def test_the_csv_has_a_line_per_trial():
    rows = list(csv.DictReader(io.StringIO(as_csv(FIGURES))))
    assert [row["trial"] for row in rows] == ["2", "1", "3"]
    assert [row["num_hard"] for row in rows] == ["8", "64", ""]
    assert "rows" not in rows[0]


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def coloured(image):
    """Pixels that are not grey: data, not axes or text."""
    return (image.max(axis=2) - image.min(axis=2) > 30).sum()


def test_pictures_show_something():
    pictures = draw(FIGURES)
    assert list(pictures) == ["parallel", "importance", "progress"]
    assert all(coloured(pixels(picture)) > 100 for picture in pictures.values())
    assert all(f"({name}.png)" in as_markdown(FIGURES) for name in pictures)


def few(*trials):
    return FIGURES._replace(trials=list(trials), importance={})


def test_the_page_says_why_a_picture_is_missing():
    first, second, _ = FIGURES.trials
    once = {**first, "rows": first["rows"][:1]}
    alike = few(first, {**second, "validation_accuracy": 0.75})
    assert list(draw(few(first, second))) == ["parallel", "progress"]
    assert list(draw(alike)) == ["progress"]
    assert list(draw(few(first))) == ["progress"]
    assert not draw(few(once))
    page = as_markdown(few(once))
    assert "![" not in page
    assert "parallel.png is not drawn: there is only one trial." in page
    assert "importance.png is not drawn: there are too few trials, or they are too similar" in page
    assert "progress.png is not drawn: there is only one trial, with one validation." in page
    assert "parallel.png is not drawn: all trials are equally good." in as_markdown(alike)


def test_trials_that_were_looked_at_once_are_points_and_no_panel_is_blank():
    """One panel, half as wide as two, with a point for each trial."""
    trials = [{**trial(number, 0.1 * number, "finished"), "rows": [(9, 0.1 * number)]} for number in range(1, 7)]
    one, two = pixels(draw(few(*trials))["progress"]), pixels(draw(FIGURES)["progress"])
    assert 2 * one.shape[1] == two.shape[1]
    blue = (abs(one - (0x31, 0x68, 0x8E)).max(axis=2) < 40).sum(axis=0) > 3
    assert np.count_nonzero(np.diff(blue.astype(int)) == 1) >= 6


def test_no_line_crosses_the_numbers_at_the_ends_of_an_axis():
    """Lines between the ends of all axes: nothing coloured lies above the highest or below the lowest."""
    ends = [trial(number, 0.5 + 0.1 * number, "finished", a=a, b=b) for number, (a, b) in enumerate([(1, 9), (9, 1)])]
    image = pixels(draw(few(*ends)._replace(settings=["a", "b"]))["parallel"])
    image = image[:, : int(0.7 * image.shape[1])]  # without the scale of colours
    rows = np.flatnonzero((image.max(axis=2) - image.min(axis=2) > 30).any(axis=1))
    dark = (image.max(axis=2) < 120).sum(axis=1)
    assert dark[rows[0] - 18 : rows[0] - 3].any(), "the number above"
    assert dark[rows[-1] + 3 : rows[-1] + 18].any(), "the number below"


def test_the_best_trial_looks_different_from_the_worst():
    """Exchanging their accuracies exchanges their colours."""
    first, second, third = FIGURES.trials
    exchanged = [{**first, "validation_accuracy": 0.5}, {**second, "validation_accuracy": 0.75}, third]
    assert draw(FIGURES)["parallel"] != draw(FIGURES._replace(trials=exchanged))["parallel"]
