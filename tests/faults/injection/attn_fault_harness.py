"""What a process does when it comes to a fault point (`attn.fault_points`) while a harness watches the run.

The folder that ATTN_FAULT_FOLDER names holds `plan.json`; `trace.txt` gets a line for every point reached and for every
fault, and `claims/` a file for every fault, so that each happens once, however many processes there are. Whether a
fault strikes follows from the seed and the video alone: the same seed breaks the same run at the same videos.
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
START_S = 1.0  # a decoder that is only starting is not at work


at_work = ""  # the video that this process decodes


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
    """A number in [0, 1) that belongs to a video."""
    digest = hashlib.sha256(f"{seed} {number} {video_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def claim(number: int, video_id: str, most: int) -> bool:
    """Whether this fault is still to happen, which is true once."""
    name = hashlib.sha256(video_id.encode()).hexdigest()[:16]
    if len(list((FOLDER / "claims").glob(f"{number}-*"))) >= most:
        return False
    try:
        os.close(os.open(FOLDER / "claims" / f"{number}-{name}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def note(what: str, video_id: str) -> None:
    """One line, written at once and whole; the clock is that of the machine, not of the process."""
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
    """Takes memory until someone ends this process."""
    note(fault, video_id)
    kept = []
    while True:
        kept.append(os.urandom(2**20) * 64)
        time.sleep(0.01)


def to_decoder(number: int):
    """A fault that signals the decoder child of this process once it is at work."""

    def send(fault: str, video_id: str) -> None:
        def later() -> None:
            for _ in range(200):
                time.sleep(DECODER_DELAY_S)
                for child in psutil.Process().children():
                    with contextlib.suppress(psutil.Error):
                        started = time.time() - child.create_time() > START_S
                        if started and "decoder_process" in " ".join(child.cmdline()):
                            note(fault, at_work)  # by now perhaps another than that which called for it
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
