"""Fault injection at the fault points (`attn.fault_points`) of a process.

The folder ATTN_FAULT_FOLDER holds `plan.json`. Each point that is reached and each fault adds a line to `trace.txt`;
each fault also creates a file in `claims/`, so that it happens only once across all processes. Seed and video ID
determine whether a fault is injected, so the same seed breaks the same videos.
"""

import contextlib
import hashlib
import json
import os
import signal
import threading
import time
from pathlib import Path

import psutil

FOLDER = Path(os.environ["ATTN_FAULT_FOLDER"])
PLAN = json.loads((FOLDER / "plan.json").read_text())
DECODER_DELAY_S = 0.02
START_S = 1.0  # a younger decoder process is still starting


at_work = ""  # ID of the video that this process is decoding


def reach(point: str, video_id: str) -> None:
    global at_work
    note(point, video_id)
    if point == "decode":
        at_work = video_id
    for number, fault in enumerate(PLAN["faults"]):
        chosen = fault["point"] == point and strikes(PLAN["seed"], number, video_id) < fault["share"]
        if chosen and claim(number, video_id, fault["most"]):
            ACTIONS[fault["action"]](f"{fault['action']}@{point}", video_id)


def strikes(seed: int, number: int, video_id: str) -> float:
    """Return a number in [0, 1) that depends only on the seed, the fault and the video."""
    digest = hashlib.sha256(f"{seed} {number} {video_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def claim(number: int, video_id: str, most: int) -> bool:
    """Claim a fault; True only for the first caller."""
    name = hashlib.sha256(video_id.encode()).hexdigest()[:16]
    if len(list((FOLDER / "claims").glob(f"{number}-*"))) >= most:
        return False
    try:
        os.close(os.open(FOLDER / "claims" / f"{number}-{name}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def note(what: str, video_id: str) -> None:
    """Append a line to the trace in a single write, with the machine's monotonic clock, which all processes share."""
    line = f"{time.monotonic():.4f}\t{os.getpid()}\t{what}\t{video_id}\n"
    descriptor = os.open(FOLDER / "trace.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def kill(fault: str, video_id: str) -> None:
    note(fault, video_id)
    os.kill(os.getpid(), signal.SIGKILL)


def segfault(fault: str, video_id: str) -> None:
    note(fault, video_id)
    os.kill(os.getpid(), signal.SIGSEGV)


def leak(fault: str, video_id: str) -> None:
    """Allocate memory until this process is killed."""
    note(fault, video_id)
    kept = []
    while True:
        kept.append(os.urandom(2**20) * 64)
        time.sleep(0.01)


def to_decoder(number: int):
    """Return a fault that sends a signal to the decoder child of this process as soon as it is decoding."""

    def send(fault: str, video_id: str) -> None:
        def later() -> None:
            for _ in range(200):
                time.sleep(DECODER_DELAY_S)
                for child in psutil.Process().children():
                    with contextlib.suppress(psutil.Error):
                        started = time.time() - child.create_time() > START_S
                        if started and "decoder_process" in " ".join(child.cmdline()):
                            note(fault, at_work)  # may be a later video than the one that triggered the fault
                            child.send_signal(number)
                            return

        threading.Thread(target=later, daemon=True).start()

    return send


ACTIONS = {
    "kill": kill,
    "segfault": segfault,
    "leak": leak,
    "kill decoder": to_decoder(signal.SIGKILL),
    "segfault decoder": to_decoder(signal.SIGSEGV),
    "hang decoder": to_decoder(signal.SIGSTOP),
}
