"""Explorer of a small store with known rows, served to the test."""

import contextlib
import http.client
import json
import threading
import urllib.parse
from collections.abc import Iterator
from email.message import Message
from typing import Any, NamedTuple

import numpy as np

from attn.commands.explore.explore import HOST, listening_on, make_server, open_explorer
from attn.commands.explore.explore_options import ExploreOptions
from attn.schema import FEATURES, GRID, LOGITS, MAPS
from attn.video.transform import Resampling
from tests.stores import new_manifest, write_store

CLASSES = ("Wave", "<b>Kick</b>", "</script><i>Hug")
LENGTHS = (1, 4, 23, 60, 130, 37)
CLIPS = {f"v_{('Wave', 'Kick')[i % 2]}_g{i:02}_c01": length for i, length in enumerate(LENGTHS)}
"""Clips of the fixture `clip_folder`, with their numbers of frames."""
STRANGE = '<img src=x onerror="alert(1)">'
"""ID of a video of the store that has no file."""


def write_known_store(url: str, videos: str | None, columns: tuple[str, ...] = (LOGITS, MAPS), **told: Any) -> str:
    """Write random rows of all clips, whose frames 0, 5, 10, … are sampled, and of a video without a file."""
    informative = {} if videos is None else {"options": {"videos": videos}}
    shape = told.pop("map_shape", (4, 4))
    manifest = new_manifest(
        **{"class_names": CLASSES, "columns": columns, "informative": informative, "map_shape": shape}
        | {"preprocessing": str(Resampling())}
        | told
    )
    counts = {name: -(-length // 5) for name, length in CLIPS.items()} | {STRANGE: 3}
    rows = {name: _random_rows(i, count, shape) for i, (name, count) in enumerate(counts.items())}
    kept = {name: {column: one[column] for column in columns} for name, one in rows.items()}
    return write_store(url, manifest, kept, labels={name: i % 2 for i, name in enumerate(CLIPS)}, part_bytes=4000)


def _random_rows(seed: int, frames: int, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        LOGITS: random.normal(size=(frames, 3)).astype(np.float32),
        MAPS: random.gamma(0.3, size=(frames, 3, *shape)).astype(np.float16),
        GRID: random.random((frames, 4, *shape)).astype(np.float16),
        FEATURES: random.random((frames, 4)).astype(np.float16),
    }


@contextlib.contextmanager
def served(options: ExploreOptions) -> Iterator[str]:
    """Serve a store on any free port and yield its address."""
    with listening_on(0) as listening:
        explorer, pictures, setting = open_explorer(options)
        server = make_server(explorer, pictures, setting)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://{HOST}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            if pictures is not None:
                pictures.close()


class Reply(NamedTuple):
    """Status, content and headers of an answer."""

    status: int
    content: bytes
    headers: Message


def reply(url: str, path: str, *query: tuple[str, Any], method: str = "GET", **headers: str) -> Reply:
    """Ask for an address."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
    with contextlib.closing(connection):
        connection.request(method, f"{path}?{urllib.parse.urlencode(query)}", headers=headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(), answer.headers)


def ask(url: str, what: str, *query: tuple[str, Any]) -> Any:
    """Answer that must succeed."""
    found = reply(url, f"/api/{what}", *query)
    assert found.status == 200, found.content
    return json.loads(found.content)
