"""Rendering of the embedded data set: Web images, videos, lists in UCF101's format, and the box of every action.

    <root>/images/<Class>/<Class>_00000.jpg
    <root>/UCF-101/<Class>/v_<Class>_gGG_cCC.avi
    <root>/ucfTrainTestlist/{classInd,trainlist01..03,testlist01..03}.txt
    <root>/boxes/<video_id>.json

One core renders about 400 images or 8 videos a second.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from attn.errors import UsageError
from attn.synthetic.actions import ACTIONS
from attn.synthetic.boxes import BoxTrack, write_boxes
from attn.synthetic.clip import FPS, HEIGHT, WIDTH, make_clip, make_group
from attn.synthetic.encode import write_avi
from attn.synthetic.motion_only import MOTIONS, make_motion_clip
from attn.synthetic.numbering import SPLITS, Stream, class_of, group_of, image_name, is_test, random_state, video_name
from attn.synthetic.parallel import for_each
from attn.synthetic.photograph import photograph
from attn.synthetic.shift import DomainShift

JPEG_QUALITY = 90
_DEFAULT_SHIFT = DomainShift()


def render_images(
    root: Path, count: int, seed: int = 0, *, shift: DomainShift = _DEFAULT_SHIFT, workers: int | None = None
) -> Path:
    """Render Web images into one folder per class and return the folder of these.

    Equal seeds and shifts give equal pixels, and the images of a count are the first ones of any larger count.

    Args:
        root: folder of the data set.
        count: number of images of all classes together; images cycle through the classes.
        seed: seed of the random states.
        shift: constants of the domain shift.
        workers: number of processes; 1 renders in this process. Default: one per CPU core. With more than one, the
            calling script must guard its entry point with `if __name__ == "__main__"`.

    Raises:
        UsageError: the folder contains files that would not be overwritten.
    """
    folder = root / "images"
    _prepare(folder, [image_name(item) for item in range(count)])
    for_each(partial(_render_image, folder, seed, shift), count, workers, chunk=64)
    return folder


def render_videos(
    root: Path, count: int, seed: int = 0, *, shift: DomainShift = _DEFAULT_SHIFT, workers: int | None = None
) -> Path:
    """Render videos, their boxes (`attn.synthetic.boxes`) and their lists, and return the folder of the videos.

    Arguments and determinism are those of `render_images`. The clips of a group share place and people, and a group is
    never on both sides of a split. With fewer than three videos per class, sides of some splits are empty.

    Raises:
        UsageError: the folders contain files that would not be overwritten.
    """
    folder = root / "UCF-101"
    names = [video_name(item) for item in range(count)]
    _prepare(folder, names)
    _prepare(root / "boxes", [f"{Path(name).stem}.json" for name in names])
    for_each(partial(_render_video, root, seed, shift), count, workers, chunk=8)
    render_lists(root, count)
    return folder


def _render_image(folder: Path, seed: int, shift: DomainShift, item: int) -> None:
    image = photograph(class_of(item), random_state(seed, Stream.IMAGE, item), shift)
    image.save(folder / image_name(item), quality=JPEG_QUALITY)


def _render_video(root: Path, seed: int, shift: DomainShift, item: int) -> None:
    class_id, path = class_of(item), root / "UCF-101" / video_name(item)
    group = make_group(random_state(seed, Stream.GROUP, class_id, group_of(item)), shift)
    rng = random_state(seed, Stream.VIDEO, item)
    clip = make_clip(class_id, group, rng, shift)
    frames, boxes = zip(*clip.frames(rng), strict=True)
    write_avi(path, frames, FPS, clip.camera.quantiser)
    track = BoxTrack(path.stem, WIDTH, HEIGHT, (clip.start, clip.stop), boxes)
    write_boxes(root / "boxes" / f"{path.stem}.json", track)


def render_motion_videos(
    root: Path, count: int, seed: int = 0, *, shift: DomainShift = _DEFAULT_SHIFT, workers: int | None = None
) -> Path:
    """Render videos whose class no single frame tells (`attn.synthetic.motion_only`), and return their folder.

    Files, arguments and determinism are those of `render_videos`, with other classes. Twins have one group, so they are
    on the same side of a split.

    Raises:
        UsageError: the folders contain files that would not be overwritten.
    """
    folder = root / "UCF-101"
    names = [video_name(item, MOTIONS) for item in range(count)]
    _prepare(folder, names)
    _prepare(root / "boxes", [f"{Path(name).stem}.json" for name in names])
    for_each(partial(_render_motion_video, root, seed, shift), count, workers, chunk=8)
    render_lists(root, count, MOTIONS)
    return folder


def _render_motion_video(root: Path, seed: int, shift: DomainShift, item: int) -> None:
    class_id, path = class_of(item, MOTIONS), root / "UCF-101" / video_name(item, MOTIONS)
    pair, number = class_id // 2, item // len(MOTIONS)  # equal for twins, as are their random states
    group = make_group(random_state(seed, Stream.MOTION_GROUP, pair, group_of(item, MOTIONS)), shift)
    rng = random_state(seed, Stream.MOTION_VIDEO, pair, number)
    clip = make_motion_clip(class_id, group, rng, shift)
    frames, boxes = zip(*clip.frames(rng), strict=True)
    write_avi(path, frames, FPS, clip.camera.quantiser, intra_only=True)
    write_boxes(root / "boxes" / f"{path.stem}.json", BoxTrack(path.stem, WIDTH, HEIGHT, (0, len(frames)), boxes))


def render_lists(root: Path, count: int, classes: Sequence[str] = ACTIONS) -> Path:
    """Write the lists of `count` videos in UCF101's format and return their folder.

    Class IDs in the lists start at 1, and only training lists contain them.
    """
    folder = root / "ucfTrainTestlist"
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / "classInd.txt", [f"{i} {name}" for i, name in enumerate(classes, start=1)])
    items = sorted(range(count), key=lambda item: video_name(item, classes))
    for split in SPLITS:
        train = [item for item in items if not is_test(item, split, classes)]
        test = [video_name(item, classes) for item in items if is_test(item, split, classes)]
        labelled = [f"{video_name(item, classes)} {class_of(item, classes) + 1}" for item in train]
        _write_lines(folder / f"trainlist{split:02d}.txt", labelled)
        _write_lines(folder / f"testlist{split:02d}.txt", test)
    return folder


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def _prepare(folder: Path, names: list[str]) -> None:
    """Create the folders of the files, after checking that they contain no other files."""
    expected = {folder / name for name in names}
    others = sorted(path for path in folder.rglob("*") if path.is_file() and path not in expected)
    if others:
        raise UsageError(f"{folder}: contains another file, {others[0].name}. Choose another folder or empty it.")
    for parent in {path.parent for path in expected} | {folder}:
        parent.mkdir(parents=True, exist_ok=True)
