"""Page of the explorer, which asks a server for everything that it shows."""

import dataclasses
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from attn.report.heat import OPACITY, POWER, palettes
from attn.report.page import templates

SCRIPTS = ("explore_draw.js", "explore.js")


@dataclasses.dataclass(frozen=True)
class Setting:
    """Facts that do not change while the page is open.

    Attributes:
        title: name of the store.
        class_names: names of the classes, in their order.
        methods: name of each method, with the name of its values and the definition of its scores.
        has_maps: whether the store has maps of the classes.
        predicts: name of the method that decides the predictions in the list; empty if there are none.
        why_no_frames: reason why maps are shown without frames; empty if frames are there.
    """

    title: str
    class_names: Sequence[str]
    methods: Mapping[str, tuple[str, str]]
    has_maps: bool = True
    predicts: str = ""
    why_no_frames: str = ""


def page_files(setting: Setting) -> dict[str, tuple[str, str]]:
    """Return text and media type of each file of the page, by its path on the server."""
    folder = files("attn.report") / "templates"
    style = "\n".join((folder / name).read_text(encoding="utf-8") for name in ("page.css", "explore.css"))
    scripts = {f"/{name}": ((folder / name).read_text(encoding="utf-8"), "text/javascript") for name in SCRIPTS}
    page = templates().get_template("explore.html").render(title=setting.title, setting=_record(setting))
    return {
        "/": (page, "text/html"),
        "/explore.css": (style, "text/css"),
        **scripts,
    }


def _record(setting: Setting) -> dict[str, Any]:
    """Facts for the script. Heat has the colours and the opacity of overlays."""
    return {
        "classes": list(setting.class_names),
        "methods": {
            name: {"values": values, "definition": definition} for name, (values, definition) in setting.methods.items()
        },
        "predicts": setting.predicts,
        "hasMaps": setting.has_maps,
        "whyNoFrames": setting.why_no_frames,
        "colours": palettes()[0].colours,
        "opacity": OPACITY,
        "power": POWER,
    }
