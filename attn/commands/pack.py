"""Pack videos into tar shards. The work is I/O bound, so threads of one process suffice and Ray is not used."""

import datetime
import logging
import os
import re
import threading
import time
from collections.abc import Sequence
from typing import Self

from attn.commands.pack_options import PackOptions
from attn.datasets.ucf101 import read_class_index
from attn.engine.exit_codes import EXIT_FAILED_VIDEOS, EXIT_INTERRUPTED
from attn.errors import UsageError
from attn.storage.location import Location
from attn.storage.writable import check_writable
from attn.video.found import Found
from attn.video.shards import Packed, clear_shards, find_shards, write_shards
from attn.video.source import Video, find_videos, label_videos

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
MB = 1_000_000


def pack(options: PackOptions) -> int:
    """Pack the videos and return the exit code: 0, or 3 if a video vanished or cannot be read.

    Raises:
        UsageError: flags, class list, videos or output folder are invalid; nothing was written.
    """
    _check_flags(options)
    check_writable(options.out)
    _check_outside(options.out, options.videos)
    existing = find_shards(options.out, options.name)
    if existing and not options.overwrite:
        raise UsageError(
            f"{options.out}: already has {len(existing)} shards named {options.name}-*.tar. "
            "Choose another --name or --out, or replace them with --overwrite."
        )
    found = find_videos(options.videos).found
    class_names = _class_names(options.classes, found)
    videos = label_videos(found, class_names, {})
    _check_source_is_not_replaced(videos, options.out, existing)
    clear_shards(options.out, options.name)
    try:
        with Heartbeat(videos) as heartbeat:
            packed = write_shards(
                videos,
                options.out,
                options.shard_mb * MB,
                options.name,
                class_names=class_names,
                report=heartbeat.add,
            )
    except KeyboardInterrupt:
        log.warning(
            "interrupted; %s has complete shards, but not all of them. Pack again with --overwrite.", options.out
        )
        return EXIT_INTERRUPTED
    log.info("%s; shards written to %s", heartbeat.line(), options.out)
    return EXIT_FAILED_VIDEOS if any(one.error for one in packed) else 0


class Heartbeat:
    """Counter of packed videos that logs progress every few seconds while its block runs."""

    def __init__(self, videos: Sequence[Video]):
        self._total_videos = len(videos)
        self._total_bytes = sum(video.size or 0 for video in videos)
        self._videos = self._failed = self._bytes = 0
        self._started_s = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def add(self, packed: Packed) -> None:
        """Count a video and log it if it was left out. Called from several threads."""
        with self._lock:
            self._videos += 1
            self._failed += packed.error is not None
            self._bytes += packed.size
        if packed.error:
            log.warning("left out: %s", packed.error)

    def line(self) -> str:
        """Progress line: videos done, mean speed, failures, and remaining time at that speed."""
        speed = self._bytes / max(time.monotonic() - self._started_s, 1e-9)
        left_s = (self._total_bytes - self._bytes) / speed if speed else None
        eta = "unknown" if left_s is None else datetime.timedelta(seconds=round(max(left_s, 0)))
        done = f"{self._videos - self._failed}/{self._total_videos} videos"
        return f"{done}, {speed / MB:.1f} MB/s, {self._failed} failed, ETA {eta}"

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            log.info("%s", self.line())


def _check_flags(options: PackOptions) -> None:
    if options.shard_mb <= 0:
        raise UsageError(f"--shard-mb {options.shard_mb}: must be above 0.")
    if not re.fullmatch(r"[^./\s][^/\s]*", options.name):
        raise UsageError(f"--name {options.name!r}: not a file name. Use no slash, no white space and no leading dot.")


def _class_names(classes: str | None, found: Sequence[Found]) -> tuple[str, ...]:
    """Names in the class list; without one, all folder names and stored labels."""
    if classes is not None:
        return read_class_index(classes)
    return tuple(sorted({name for one in found if (name := one.folder or one.stored)}))


def _check_outside(out: str, videos: str) -> None:
    """Refuse an output folder in the folder of the videos, whose next listing would contain every video twice."""
    folder, source = (Location.at(url).absolute.rstrip("/") for url in (out, videos))
    if f"{folder}/".startswith(f"{source}/"):
        raise UsageError(f"{out}: in the folder of --videos, which would then contain all twice. Choose another --out.")


def _check_source_is_not_replaced(videos: Sequence[Video], out: str, existing: Sequence[str]) -> None:
    folder = Location.at(out)
    replaced = {os.path.realpath((folder / name).absolute) for name in existing}
    if any(os.path.realpath(video.url) in replaced for video in videos):
        raise UsageError(f"{out}: --overwrite would remove shards that contain the videos. Choose another --out.")
