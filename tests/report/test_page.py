"""Pages of results: content, escaping, and nothing that is loaded from elsewhere."""

import io
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from attn.report.page import ROWS_IN_HTML, RunPieces, figure_files, page_html
from attn.report.page_blocks import Chart, Note, Piece, Table
from attn.report.page_charts import confusion_chart, gain_chart, method_style, precision_chart
from attn.report.page_pictures import Mistake, on_frame, show_mistakes
from attn.report.page_svg import COLOURS, style
from tests.report.pages import parsed, section, table_of

HOSTILE = "</script><script>alert(\"$x_1$ & '1'\")</script>"


def chart(name="chart", classes=("Hug", "Kick")):
    with style():
        return Chart(name, "Gains", gain_chart(classes, np.array([0.1, -0.2]), (-0.2, 0.1)), "Of 2 classes.")


def mistakes(image):
    map_of = np.arange(16, dtype=np.float32).reshape(4, 4)
    return show_mistakes(
        [Mistake("clip", 1.5, "Kick", "Hug", map_of / 2, map_of, 9.0, 18.0, image)], "frames", "Frames"
    )


def page(*pieces, name="run"):
    return page_html("Results", [RunPieces(name, pieces)])


def test_a_section_is_there_only_if_it_has_content():
    html = page(Piece("stores", Note("No video failed.")), Piece("methods", Table(["a"], [["1"]])))
    assert [node.attributes["id"] for node in parsed(html).all("section")] == ["methods", "stores"]
    assert [node.attributes["href"] for node in parsed(html).one("nav").all("a")] == ["#methods", "#stores"]


def test_runs_are_named_if_there_are_several():
    note = Piece("stores", Note("a"))
    assert not section(page(note), "stores").all("h3")
    both = page_html("Results", [RunPieces("one", [note]), RunPieces("two", [note])])
    assert [head.words for head in section(both, "stores").all("h3")] == ["one", "two"]


def test_a_choice_holds_its_blocks_under_their_labels():
    html = page(*(Piece("confusion", Note(f"about {name}"), name) for name in ("CNN", "UnAtt")))
    options = section(html, "confusion").all("div", class_="option")
    assert [(one.attributes["data-label"], one.one("p").words) for one in options] == [
        ("CNN", "about CNN"),
        ("UnAtt", "about UnAtt"),
    ]


def test_columns_of_numbers_are_marked_and_others_are_not():
    rows = [["3Point", "75.0 (70.1 to 80.0)", "+1.5", "3 × 2"], ["Hug", "–", "-0.5", "2"]]
    heads = section(page(Piece("methods", Table(list("abcd"), rows))), "methods").all("th")
    assert [head.attributes.get("class") for head in heads] == [None, "number", "number", None]


def test_a_long_table_is_whole_in_its_data_and_short_in_html():
    rows = [[f"video{i}", "Hug"] for i in range(ROWS_IN_HTML + 30)]
    html = page(Piece("videos", Table(["video", "class"], rows)))
    found = section(html, "videos")
    assert table_of(found)[1:] == rows[:ROWS_IN_HTML]
    assert unpacked(html, found) == rows
    assert cells_of(html).count("Hug") == 1


def cells_of(html):
    return json.loads(parsed(html).one("script", id="cells").text)


def unpacked(html, node):
    lines = node.one("script", class_="rows").text.split("\n")
    return [[cells_of(html)[int(place)] for place in line.split()] for line in lines]


def test_names_with_html_in_them_stay_names_everywhere():
    """In cells, in JSON, in a chart, in captions, labels, titles and names of runs."""
    long = [[HOSTILE, str(i)] for i in range(ROWS_IN_HTML + 1)]
    pieces = [
        Piece("videos", Table([HOSTILE, "number"], long, HOSTILE), HOSTILE),
        Piece("gains", Chart(HOSTILE, HOSTILE, chart(classes=(HOSTILE, "Kick")).figure, HOSTILE)),
        Piece("stores", Note(HOSTILE)),
        Piece("frames", show_mistakes([mistake_of(HOSTILE)], "frames", HOSTILE)),
    ]
    html = page_html(HOSTILE, [RunPieces(HOSTILE, pieces), RunPieces("other", [])])
    assert "alert(" not in "".join(node.text for node in parsed(html).all("script") if not node.attributes)
    assert len(parsed(html).all("script")) == 3  # the page's own, and the rows and the cells of the long table
    assert html.count("<script") == 3
    assert table_of(section(html, "videos"))[1][0] == HOSTILE
    assert unpacked(html, section(html, "videos")) == long
    assert section(html, "stores").one("p").words == HOSTILE
    assert section(html, "frames").all("img")[0].attributes["alt"] == f"{HOSTILE}, as the CNN says: attention 1"
    assert any("$x_1$" in node.words or "script" in node.words for node in section(html, "gains").all("text"))


def mistake_of(name):
    map_of = np.ones((2, 2), np.float32)
    return Mistake(name, 0.0, name, name, map_of, map_of, 1.0, 1.0)


def test_nothing_is_loaded_from_elsewhere():
    pieces = [Piece("gains", chart()), Piece("frames", mistakes(np.zeros((224, 224, 3), np.uint8)))]
    html = page(*pieces, Piece("confusion", Chart("c", "c", confusion("Hug", "Kick"))))
    links = [
        value
        for node in parsed(html).all()
        for name, value in node.attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "data", "poster", "action") and value
    ]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    outside = [url for url in re.findall(r"https?://[^\s\"'<)]+", html) if "w3.org" not in url]
    assert outside == []
    assert "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}
    policy = parsed(html).one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def confusion(*names):
    with style():
        return confusion_chart(names, np.array([[3, 1], [0, 4]]))


def test_a_chart_takes_the_colours_of_the_page_and_its_ids_are_its_own():
    """Clip paths of two charts may differ under one ID if IDs are not made unique."""
    html = page(Piece("gains", chart("one")), Piece("gains", chart("two", ("Wave", "Point"))))
    svgs = section(html, "gains").all("svg")
    assert [svg.attributes["aria-label"] for svg in svgs] == ["Gains", "Gains"]
    ids = [node.attributes["id"] for svg in svgs for node in svg.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    drawn = html[html.index("<svg") : html.rindex("</svg>")]
    assert "var(--ink)" in drawn
    assert not [colour for colour in COLOURS if colour in drawn]


def test_pictures_are_data_that_is_decoded_when_it_is_seen():
    image = np.full((224, 224, 3), 128, np.uint8)
    images = section(page(Piece("frames", mistakes(image))), "frames").all("img")
    assert len(images) == 3
    assert all(one.attributes["loading"] == "lazy" and one.attributes["width"] == "224" for one in images)
    assert len(section(page(Piece("frames", mistakes(None))), "frames").all("img")) == 2


def test_attention_covers_the_frame_where_it_is_strong_only():
    frame = np.full((224, 224, 3), 128, np.uint8)
    attention = np.zeros((4, 4), np.float32)
    attention[0, 3] = 2
    seen = on_frame(attention, 2.0, frame).astype(int)
    assert (seen[120:, :100] == 128).all()
    assert np.abs(seen[20, -20] - 128).max() > 80
    assert (on_frame(np.zeros((4, 4), np.float32), 0.0, frame) == frame).all()


def test_every_chart_becomes_an_svg_and_a_png_with_fixed_colours():
    pieces = [Piece("gains", chart("gains.CNN")), Piece("gains", chart("gains.CNN")), Piece("frames", mistakes(None))]
    files = figure_files([RunPieces("my run/x", pieces)])
    stems = ["my_run_x.gains_CNN", "my_run_x.gains_CNN-2", "my_run_x.frames"]
    assert sorted(files) == sorted(f"{stem}.{kind}" for stem in stems for kind in ("svg", "png"))
    root = ET.fromstring(files["my_run_x.gains_CNN.svg"])  # noqa: S314  written a moment ago
    assert root.tag.endswith("svg")
    assert b"var(--" not in files["my_run_x.gains_CNN.svg"]
    assert Image.open(io.BytesIO(files["my_run_x.frames.png"])).width > 300


@pytest.mark.parametrize("name", ["<b>&amp;</b>", "$\\frac{$", "日本語 🏊", "a" * 300])
def test_any_name_can_be_drawn(name):
    """Warnings are errors: a character that the font lacks is replaced, and $ starts no formula."""
    assert figure_files([RunPieces("run", [Piece("gains", chart(classes=(name, "Kick")))])])


def test_13000_videos_by_two_cnns_take_little_more_than_by_one():
    """IDs and classes are in the page once; the whole page of UCF101 may take 20 MB."""
    ids, classes = [f"v_ApplyEyeMakeup_g{i % 25:02}_c{i:05}" for i in range(13_000)], [f"Class{i}" for i in range(101)]
    rows = [[one, f"split{i % 3}", classes[i % 101], "2", "✓", classes[i % 7]] for i, one in enumerate(ids)]
    pieces = [Piece("videos", Table(list("abcdef"), rows), name) for name in ("one", "two")]
    one, two = len(page(pieces[0])), len(page(*pieces))
    assert one < 1e6
    assert two < 1.6 * one


def test_a_chart_without_gains_still_has_an_axis_of_points():
    (axes,) = gain_chart(["Wave", "Kick"], np.zeros(2), (0.0, 0.0)).axes
    low, high = axes.get_xlim()
    assert low < -1
    assert high > 1


def test_methods_of_one_kind_are_told_apart():
    kinds = ("energynet", "energynet_calibrated", "adapted_energynet", "adapted_energynet_calibrated")
    looks = [method_style(one) for one in kinds]
    assert len({one["linestyle"] for one in looks}) == len({(one["marker"], one["fillstyle"]) for one in looks}) == 4
    assert len({one["color"] for one in looks}) == 1
    assert method_style("mine", 0)["color"] != method_style("other", 1)["color"]


@pytest.mark.parametrize(("name", "columns"), [("CNN", 4), ("calibrated EnergyNet, adapted CNN", 2), ("n" * 90, 1)])
def test_a_legend_has_as_many_columns_as_fit(name, columns):
    precision = {f"{name[:-1]}{i}": np.full(3, 0.5) for i in range(5)}
    with style():
        drawn = precision_chart(("Wave", "Kick", "Hug"), precision, list(precision))
        drawn.draw_without_rendering()
    (legend,) = drawn.legends
    lefts = {round(text.get_window_extent().x0) for text in legend.get_texts()}
    assert len(lefts) == columns
    if columns > 1:
        assert legend.get_window_extent().width <= drawn.get_window_extent().width
