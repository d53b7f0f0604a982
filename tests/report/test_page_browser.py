"""The page in a browser: it opens without an error, sorts, filters, chooses and shows its pictures."""

import numpy as np
import pytest

from attn.report.page import ROWS_IN_HTML, RunPieces, page_html
from attn.report.page_blocks import Note, Piece, Table
from attn.report.page_pictures import Mistake, show_mistakes

COUNT = ROWS_IN_HTML + 100
VIDEOS = [[f"v{i:03}", ("Hug", "<i>Kick</i>")[i % 2]] for i in range(COUNT)]
METHODS = [["Hug", "9.5"], ["Kick", "75.0 (70.0 to 80.0)"], ["<b>", "–"], ["Wave", "10"]]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    maps = np.random.default_rng(0).random((2, 4, 4)).astype(np.float32)
    mistake = Mistake("v000", 0.5, "<i>Kick</i>", "Hug", *maps, 1.0, 2.0, np.full((224, 224, 3), 128, np.uint8))
    pieces = [
        Piece("methods", Table(["class", "top-1, %"], METHODS)),
        Piece("frames", show_mistakes([mistake] * 12, "frames", "Frames")),
        Piece("videos", Table(["video", "class"], VIDEOS)),
        *(Piece("confusion", Note(name), name) for name in ("CNN", "UnAtt")),
    ]
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page_html("Results", [RunPieces("run", pieces)]))
    return path


@pytest.fixture
def opened(page, path):
    page.goto(path.as_uri())
    return page


def column(page, section, number=1):
    return page.locator(f"#{section} tbody td:nth-child({number})").all_text_contents()


def test_tables_sort_by_number_with_missing_cells_last(opened):
    opened.click("#methods th:nth-child(2) button")
    assert column(opened, "methods") == ["Kick", "Wave", "Hug", "<b>"]
    assert opened.get_attribute("#methods th:nth-child(2)", "aria-sort") == "descending"
    opened.click("#methods th:nth-child(2) button")
    assert column(opened, "methods") == ["Hug", "Wave", "Kick", "<b>"]


def test_tables_filter_all_rows_by_every_word(opened):
    opened.fill("#videos input", "hug 1")
    assert column(opened, "videos") == [name for name, label in VIDEOS if label == "Hug" and "1" in name]
    assert opened.inner_text("#videos .count") == f"{len(column(opened, 'videos'))} of {COUNT} rows"
    opened.fill("#videos input", "")
    opened.click("#videos .more") if opened.is_visible("#videos .more") else None
    assert column(opened, "videos") == [name for name, _ in VIDEOS]


def test_a_choice_shows_one_of_its_options(opened):
    shown = opened.locator("#confusion .option:visible")
    assert shown.all_inner_texts() == ["CNN"]
    opened.select_option("#confusion select", "1")
    assert shown.all_inner_texts() == ["UnAtt"]


def test_pictures_appear_when_they_come_into_view(opened):
    pictures = opened.locator("#frames img")
    assert pictures.count() == 36
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        opened.wait_for_function("one => one.complete && one.naturalWidth === 224", arg=picture.element_handle())


def test_names_are_shown_as_text(opened):
    assert opened.locator("main b, main i").count() == 0
    assert opened.inner_text("#frames figcaption >> nth=0").startswith("Hug: v000")


@pytest.mark.parametrize("width", [390, 1280])
def test_only_tables_are_wider_than_the_screen(opened, width):
    opened.set_viewport_size({"width": width, "height": 800})
    assert opened.evaluate("() => document.documentElement.scrollWidth") <= width
