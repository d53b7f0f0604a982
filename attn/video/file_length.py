"""Declared length of a file in bytes. A duration that is not reached proves little; missing bytes prove a loss.

A declared duration is often that of the audio, and the display time of the last picture is often not stored.
"""

import math
import os
import struct

HEAD_BYTES = 1 << 14
TAIL_BYTES = 64

ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_BYTES, ASF_FLAGS, ASF_BROADCAST = 40, 88, 1  # offsets in that object; a broadcast has no known length
FLV_BYTES = b"\x00\x08filesize\x00"
MATROSKA_SEGMENT = bytes.fromhex("18538067")


def is_all_there(path: str, container: str) -> bool | None:
    """Return whether a file is as long as its header declares, None if the header declares no length.

    A file whose last bytes are zeros is incomplete: downloads often reserve the space of a file before they fill it.

    Args:
        path: local path of the file.
        container: FFmpeg's name of its format; only Matroska, FLV and ASF declare a length.

    Raises:
        OSError: the file cannot be read any more.
    """
    declared = {"matroska,webm": _matroska_bytes, "flv": _flv_bytes, "asf": _asf_bytes}.get(container)
    if declared is None:
        return None
    with open(path, "rb") as file:
        length, actual = declared(file.read(HEAD_BYTES)), os.fstat(file.fileno()).st_size
        if length is None:
            return None
        file.seek(max(0, actual - TAIL_BYTES))
        return length <= actual and any(file.read(TAIL_BYTES))


def _matroska_bytes(head: bytes) -> int | None:
    """Return the offset of the end of the segment. Its length is a number of 1 to 8 bytes, all ones if unknown."""
    start = head.find(MATROSKA_SEGMENT) + len(MATROSKA_SEGMENT)
    width = 9 - head[start].bit_length() if len(MATROSKA_SEGMENT) <= start < len(head) else 9
    unknown = (1 << 7 * width) - 1
    length = int.from_bytes(head[start : start + width]) & unknown
    return None if width == 9 or length == unknown else start + width + length


def _flv_bytes(head: bytes) -> int | None:
    start = head.find(FLV_BYTES)
    number = head[start + len(FLV_BYTES) :][:8]
    if start < 0 or len(number) < 8:
        return None
    (length,) = struct.unpack(">d", number)
    return int(length) if math.isfinite(length) and length > 0 else None


def _asf_bytes(head: bytes) -> int | None:
    start = head.find(ASF_FILE_PROPERTIES)
    if start < 0 or len(head) < start + ASF_FLAGS + 4:
        return None
    (length,) = struct.unpack_from("<Q", head, start + ASF_BYTES)
    return length if length and not head[start + ASF_FLAGS] & ASF_BROADCAST else None
