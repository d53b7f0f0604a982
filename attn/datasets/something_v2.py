"""Something-Something V2: 193,690 labelled clips of 174 actions with objects; the test videos have no labels.

    20bn-something-something-v2/<id>.webm
    labels/labels.json                            `{"<class>": "<id>", …}`, ids from 0
    labels/train.json, labels/validation.json     `[{"id": "<id>", "template": "<class with [something]>", …}, …]`

The lists may also have their older names `something-something-v2-<name>.json`, beside the folder of the videos. The
class of a video is its template without brackets.

Source: Goyal et al. 2017.
"""

import json
from collections.abc import Iterator
from typing import Any

from attn.datasets.entries import Entry, split_list
from attn.datasets.protocol import Benchmark, Split, check_folder, check_images
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join, storage_errors
from attn.storage.location import Location

VIDEOS = "20bn-something-something-v2"
PLACES = ("labels/{}.json", "something-something-v2-{}.json", "{}.json")
"""Places of a list in the folder of the data set, by the names of two releases."""


def benchmark(root: str, images: str | None) -> Benchmark:
    """Something-Something V2: every frame, top-1 accuracy on the validation videos, which the papers test.

    Args:
        root: local or remote folder of the videos and lists.
        images: folder of Web images of these classes.

    Raises:
        UsageError: the folder of the videos or a list is missing, or a list is wrong.
    """
    check_images(images)
    check_folder(join(root, VIDEOS), f"Arrange the videos as {VIDEOS}/<id>.webm and the lists as labels/train.json")
    names = read_classes(_place(root, "labels"))
    train, test = (
        split_list(parse_list(Location.at(url).read_text(), shown(url)), names)
        for url in (_place(root, "train"), _place(root, "validation"))
    )
    return Benchmark("something_v2", names, join(root, VIDEOS), images, 1, "top_1", (Split("validation", train, test),))


def read_classes(url: str) -> tuple[str, ...]:
    """Names of the classes in the order of their ids.

    Raises:
        UsageError: the file is missing, or is not a list of classes.
    """
    found = _json(Location.at(url).read_text(), shown(url))
    try:
        numbers = {str(name): int(number) for name, number in found.items()}
        if sorted(numbers.values()) != list(range(len(numbers))) or len(numbers) < 2:
            raise ValueError("its ids are not 0, 1, 2, …")
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"{shown(url)}: not a list of classes ({error}). Use the official labels.json.") from error
    return tuple(sorted(numbers, key=numbers.__getitem__))


def parse_list(text: str, where: str) -> Iterator[Entry]:
    """Videos of a list of one part.

    Args:
        text: text of the file.
        where: URL of the file, for messages.

    Raises:
        UsageError: the file is not such a list, or it has no labels, as that of the test videos.
    """
    found = _json(text, where)
    if not isinstance(found, list):
        raise UsageError(f"{where}: not a list of videos. Use the official train.json or validation.json.")
    for number, video in enumerate(found, start=1):
        place = f"{where}, video {number}"
        try:
            video_id, template = video["id"], video["template"]
        except (TypeError, KeyError):
            raise UsageError(f"{place}: no id or template. Use the official train.json or validation.json.") from None
        if not isinstance(video_id, str) or not isinstance(template, str) or not video_id or not template:
            raise UsageError(f"{place}: id or template is not a text. Use the official train.json or validation.json.")
        yield Entry(video_id, template.replace("[", "").replace("]", ""), place, f"{video_id}.webm")


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON ({error}). Use the official file.") from error


def _place(root: str, name: str) -> str:
    """URL of a list, which is in one of `PLACES`."""
    urls = [join(root, place.format(name)) for place in PLACES]
    for url in urls:
        file = Location.at(url)
        with storage_errors(url):
            if file.exists():
                return url
    raise UsageError(f"{shown(urls[0])}: missing. Put the official lists into {shown(root)}.")
