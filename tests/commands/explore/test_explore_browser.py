"""The explorer in a browser: it shows, scrubs, filters and chooses; its address reproduces the view."""

import io
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
from PIL import Image

from attn.commands.explore.explore_options import ExploreOptions
from attn.eval.fusion import late_fusion
from attn.storage.store import AttentionStore
from attn.video.transform import resize_and_crop
from tests.commands.explore.serving import CLASSES, STRANGE, served, write_known_store

LONG = "v_Wave_g04_c01"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Store without videos, so that pixels are those of the maps."""
    return AttentionStore.open(write_known_store(str(tmp_path_factory.mktemp("store")), None))


@pytest.fixture(scope="module")
def url(store):
    with served(ExploreOptions(store=store.url)) as address:
        yield address


@pytest.fixture(scope="module")
def rows(store):
    return {one.video_id: one for one in store.videos(["logits", "maps"])}


def opened(page, url, **asked):
    page.goto(f"{url}/?{urlencode(asked, doseq=True)}")
    page.wait_for_selector("#videos button", state="attached")
    if "video" in asked:
        page.wait_for_selector("#values tbody tr")
        page.wait_for_selector("#curves svg")


def listed(page):
    return page.eval_on_selector_all("#videos button", "all => all.map((one) => one.firstChild.textContent)")


def pixels(page, class_id):
    """Pixels [row, col, rgb] of the panel of a class."""
    shot = page.locator(f'#panels figure[data-class="{class_id}"] canvas').screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def address(page, wanted):
    """Parts of the address, once it holds the wanted text."""
    page.wait_for_function("wanted => decodeURIComponent(location.search).includes(wanted)", arg=wanted)
    return parse_qs(urlsplit(page.url).query)


def test_the_list_is_searched_and_filtered_by_prediction_and_label(page, url, rows):
    opened(page, url)
    assert listed(page) == sorted(rows)
    page.fill("#search", "kick G0")
    page.wait_for_function("() => document.querySelectorAll('#videos button').length === 3")
    page.fill("#search", "")
    said = {name: late_fusion(one.logits).argmax() for name, one in rows.items()}
    wrong = [name for name in sorted(rows) if rows[name].label not in (None, said[name])]
    page.check("#wrong")
    page.wait_for_function("wanted => document.getElementById('count').textContent === wanted", arg=str(len(wrong)))
    assert listed(page) == wrong
    one = wrong[0]
    page.select_option("#predicted", CLASSES[said[one]])
    page.select_option("#labelled", CLASSES[rows[one].label])
    both = [name for name in wrong if (said[name], rows[name].label) == (said[one], rows[one].label)]
    page.wait_for_function("wanted => document.getElementById('count').textContent === wanted", arg=str(len(both)))
    assert listed(page) == both
    assert address(page, "labelled=")["predicted"] == [CLASSES[said[one]]]


@pytest.mark.parametrize("by", ["keys", "slider"])
def test_scrubbing_changes_the_maps_the_logits_and_the_address(page, url, rows, by):
    opened(page, url, video=LONG, **{"class": CLASSES[1]})
    assert page.inner_text("#when") == "frame 0 · 0.00 s"
    first, values = pixels(page, 1), page.inner_text("#values tbody")
    if by == "keys":
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("ArrowRight")
    else:
        page.fill("#position", "11")
    page.wait_for_function("() => document.getElementById('when').textContent.startsWith('frame 55 ')")
    page.wait_for_function("before => document.querySelector('#values tbody').innerText !== before", arg=values)
    assert np.abs(pixels(page, 1) - first).mean() > 1
    assert address(page, "frame=55") == {"video": [LONG], "frame": ["55"], "class": [CLASSES[1]]}


def test_the_brightest_place_is_that_of_the_map(page, url, rows):
    opened(page, url, video=LONG, frame=55, **{"class": CLASSES[1]})
    page.wait_for_function("() => document.getElementById('scale').textContent.includes('this video')")
    drawn = pixels(page, 1).sum(-1)
    rows_at, cols_at = (((np.arange(4) + 0.5) * side / 4).astype(int) for side in drawn.shape)
    cells = drawn[np.ix_(rows_at, cols_at)].astype(float)
    attention = rows[LONG].maps[11, 1].astype(float)
    assert np.unravel_index(cells.argmax(), cells.shape) == np.unravel_index(attention.argmax(), attention.shape)
    assert (np.argsort(cells.ravel())[-3:] == np.argsort(attention.ravel())[-3:]).all()


def test_an_address_reproduces_the_view(page, url):
    shown = [CLASSES[2], CLASSES[0]]
    asked = {"video": LONG, "frame": "100", "class": shown, "q": "wave", "order": "least", "sort": "unatt"}
    opened(page, url, **asked)
    assert page.inner_text("#name") == LONG
    assert page.inner_text("#when").startswith("frame 100 ")
    assert page.locator("#panels b").all_text_contents() == shown
    assert page.input_value("#search") == "wave"
    assert page.input_value("#order") == "least"
    assert page.inner_text("#values th[aria-sort]").startswith("unatt")
    said = address(page, "frame=100")
    assert said == {name: [value] if isinstance(value, str) else value for name, value in asked.items()}


def test_classes_are_shown_and_hidden(page, url):
    opened(page, url, video=LONG, **{"class": CLASSES[0]})
    page.select_option("#add", CLASSES[2])
    page.wait_for_selector('#panels figure[data-class="2"]')
    page.wait_for_function("() => document.querySelectorAll('#curves figure:first-child polyline').length === 2")
    page.click('#panels figure[data-class="0"] .drop')
    page.wait_for_function("() => document.querySelectorAll('#panels figure').length === 1")
    said = "wanted => new URLSearchParams(location.search).getAll('class').join() === wanted"
    page.wait_for_function(said, arg=CLASSES[2])


def test_up_and_down_change_the_video_and_back_returns(page, url, rows):
    names = sorted(rows)
    opened(page, url, video=names[1])
    page.keyboard.press("ArrowDown")
    page.wait_for_function("wanted => document.getElementById('name').textContent === wanted", arg=names[2])
    page.go_back()
    page.wait_for_function("wanted => document.getElementById('name').textContent === wanted", arg=names[1])


def test_names_are_shown_as_text(page, url):
    opened(page, url, video=STRANGE, **{"class": CLASSES[2]})
    assert page.inner_text("#name") == STRANGE
    assert page.inner_text("#panels b") == CLASSES[2]
    assert page.locator("main img, main i, aside img").count() == 0


def test_without_videos_the_page_says_so(page, url):
    opened(page, url, video=LONG)
    assert page.inner_text("#problem").startswith("Maps without frames: the store does not say where its videos are.")


def test_frames_appear_where_there_is_no_attention(page, tmp_path, clip_folder, sequential):
    store = write_known_store(str(tmp_path / "store"), str(clip_folder))
    (path,) = clip_folder.rglob(f"{LONG}.avi")
    with served(ExploreOptions(store=store)) as url:
        opened(page, url, video=LONG, frame=55, **{"class": CLASSES[0]})
        page.wait_for_function("() => picture !== null && answer !== null && whole !== null")
        found = pixels(page, 0)
        assert page.is_hidden("#problem")
    expected = np.asarray(Image.fromarray(resize_and_crop(sequential(path)[55], 320)).resize(found.shape[1::-1]))
    off = np.abs(found - expected).mean(-1)
    assert np.median(off) < 12
    assert off.max() > 60


def test_a_phone_shows_everything_within_its_width(page, url):
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, url, video=LONG)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.evaluate("document.getElementById('finder').open")
