"""THUMOS14's text files: temporal annotation of its detection classes, and files of detections.

    <Class>_test.txt      `<video>  <start> <end>` in seconds, with two blanks; also <Class>_val.txt
    Ambiguous_test.txt    the same form: segments that may be an action or not
    detclasslist.txt      `<id> <Class>`, with CRLF line ends; ids are those of UCF101
    detections            `<video>[.mp4] <start> <end> <class id> <score>`

Source: Jiang et al. 2014; the evaluation kit of THUMOS14.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from attn.datasets.entries import numbered_lines
from attn.datasets.segments import Detection, GroundTruth, Segment, finite, times
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.listing import names_in
from attn.storage.location import Location

CLASSES: Mapping[int, str] = {
    7: "BaseballPitch",
    9: "BasketballDunk",
    12: "Billiards",
    21: "CleanAndJerk",
    22: "CliffDiving",
    23: "CricketBowling",
    24: "CricketShot",
    26: "Diving",
    31: "FrisbeeCatch",
    33: "GolfSwing",
    36: "HammerThrow",
    40: "HighJump",
    45: "JavelinThrow",
    51: "LongJump",
    68: "PoleVault",
    79: "Shotput",
    85: "SoccerPenalty",
    92: "TennisSwing",
    93: "ThrowDiscus",
    97: "VolleyballSpiking",
}
"""The 20 classes with temporal annotation by UCF101's ids, from 1."""

WRONG_CONTENT = frozenset({"video_test_0001496"})
"""Videos whose segments do not show the annotated action. Papers leave them out, or not."""

AMBIGUOUS = "Ambiguous"
CLASS_LIST = "detclasslist.txt"
_FILE = re.compile(r"(?P<label>.+)_(?P<subset>test|val)\.txt")


def read_annotation(url: str, subset: str | None = None) -> GroundTruth:
    """Annotation of one subset; `detclasslist.txt` is read if the folder has one.

    Args:
        url: URL of the folder, local or remote.
        subset: `test` or `val`; default: the only one in the folder.

    Raises:
        UsageError: the folder has no annotation, a line has another form, or a class has no file.
    """
    folder = Location.at(url)
    with folder.errors():
        names = sorted(names_in(folder))
    files = {(found["subset"], found["label"]): name for name in names if (found := _FILE.fullmatch(name))}
    subsets = sorted({of_file for of_file, _ in files})
    if not files or (subset is not None and subset not in subsets):
        raise UsageError(f"{shown(url)}: has no files <Class>_{subset or 'test'}.txt. Give a folder that has them.")
    if subset is None and len(subsets) > 1:
        raise UsageError(f"{shown(url)}: has the subsets {', '.join(subsets)}. Name one with --subset.")
    part = subset or subsets[0]
    of_class = {label: join(url, name) for (of_file, label), name in files.items() if of_file == part}
    ambiguous = of_class.pop(AMBIGUOUS, None)
    listed = tuple(read_class_list(join(url, CLASS_LIST)).values()) if CLASS_LIST in names else tuple(of_class)
    if without := sorted({*listed} ^ of_class.keys()):
        raise UsageError(
            f"{shown(url)}: {without[0]!r} is in only one of {CLASS_LIST} and the files. Add its file, or its line."
        )
    segments = [one for label in listed for one in _segments(of_class[label], label)]
    unsure = [] if ambiguous is None else list(_segments(ambiguous, AMBIGUOUS))
    if not segments:
        raise UsageError(f"{shown(url)}: has no segments. Give an annotation with start and end times.")
    videos = frozenset(one.video_id for one in (*segments, *unsure))
    return GroundTruth(listed, videos, segments, unsure, subset=part)


def _segments(url: str, label: str) -> Iterator[Segment]:
    """Segments of the file of one class."""
    for place, line in numbered_lines(Location.at(url).read_text(), shown(url)):
        match line.split():
            case [video, start, end]:
                yield Segment(plain_id(video), label, *times(start, end, place))
            case _:
                raise UsageError(f"{place}: {line[:60]!r} is not a segment. Write `<video>  <start> <end>`.")


def read_class_list(url: str) -> dict[int, str]:
    """Class names by id.

    Raises:
        UsageError: a line has another form, or an id or a name appears twice.
    """
    classes: dict[int, str] = {}
    for place, line in numbered_lines(Location.at(url).read_text(), shown(url)):
        number, _, name = line.partition(" ")
        if not (number.isascii() and number.isdigit() and name.strip()):
            raise UsageError(f"{place}: {line[:60]!r} is not a class. Write `<id> <Class>`.")
        if int(number) in classes or name.strip() in classes.values():
            raise UsageError(f"{place}: {line[:60]!r} appears twice. Remove one of them.")
        classes[int(number)] = name.strip()
    return classes


def read_detections(url: str, classes: Mapping[int, str] = CLASSES) -> list[Detection]:
    """Detections of a text file, in file order.

    Args:
        url: URL of the file, local or remote.
        classes: class names by id.

    Raises:
        UsageError: a line has another form, its class id is unknown, or a number is not finite.
    """
    detections = []
    for place, line in numbered_lines(Location.at(url).read_text(), shown(url)):
        match line.split():
            case [video, start, end, number, score]:
                label = classes.get(int(number)) if number.isascii() and number.isdigit() else None
                if label is None:
                    raise UsageError(f"{place}: unknown class ID {number!r}. Use the IDs of {CLASS_LIST}.")
                span = times(start, end, place)
                detections.append(Detection(plain_id(video), label, *span, finite(score, "score", place)))
            case _:
                raise UsageError(
                    f"{place}: {line[:60]!r} is not a detection. Write `<video> <start> <end> <class ID> <score>`, or "
                    "ActivityNet's results in a .json file."
                )
    return detections


def detections_text(detections: Sequence[Detection], classes: Mapping[int, str] = CLASSES) -> str:
    """Content of a file of detections; `read_detections` reads the same numbers."""
    ids = {name: number for number, name in classes.items()}
    return "".join(
        f"{one.video_id} {float(one.start_s)} {float(one.end_s)} {ids[one.label]} {float(one.score)}\n"
        for one in detections
    )


def annotation_files(truth: GroundTruth) -> dict[str, str]:
    """Content of the files of an annotation by file name; the inverse of `read_annotation`.

    Classes are numbered by `CLASSES` if all are among them, otherwise from 1.
    """
    known = {name: number for number, name in CLASSES.items()}
    own = {name: number for number, name in enumerate(truth.class_names, 1)}
    ids = known if {*truth.class_names} <= known.keys() else own
    files = {CLASS_LIST: "".join(f"{ids[name]} {name}\r\n" for name in truth.class_names)}
    for label in (*truth.class_names, AMBIGUOUS):
        segments = truth.ambiguous if label == AMBIGUOUS else [one for one in truth.segments if one.label == label]
        lines = (f"{one.video_id}  {float(one.start_s)} {float(one.end_s)}\n" for one in segments)
        files[f"{label}_{truth.subset}.txt"] = "".join(lines)
    return files


def plain_id(video: str) -> str:
    """Video name without `.mp4`."""
    return video.removesuffix(".mp4")
