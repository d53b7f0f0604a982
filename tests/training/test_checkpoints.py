"""Checkpoints in a local folder and on S3; checkpoints of several workers are tested in test_group_checkpoints.py."""

import contextlib
import errno
import hashlib
import json
import os
import re
import resource
import signal
from pathlib import Path

import pytest

from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.listing import names_in
from attn.storage.location import Location
from attn.training.checkpoints import SUMS, CheckpointFolder


@pytest.fixture(params=["local", "s3"])
def url(request, tmp_path):
    return str(tmp_path / "run") if request.param == "local" else join(request.getfixturevalue("s3"), "run")


def saver(text):
    return lambda: iter([("weights", b"w" + text.encode() * 1000), ("state.json", text.encode())])


def keep(url, *updates):
    checkpoints = CheckpointFolder(url, every_s=0)
    for update in updates:
        checkpoints.save(update, {}, saver(str(update)))
    return checkpoints


def held(url):
    """Text in the newest intact checkpoint, and the messages about skipped ones."""
    checkpoints = CheckpointFolder(url)
    files = checkpoints.restore()
    assert files is None or files["weights"] == b"w" + files["state.json"] * 1000
    return files and files["state.json"].decode(), checkpoints.damaged


def states(url):
    return sorted(name for name in names_in(Location.at(url)) if name.startswith("state-"))


def change(url, file, edit):
    path = Location.at(url) / file
    path.write_atomic(edit(path.read_bytes()))


def flipped(data):
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


DAMAGE = {
    "a file cut": ("weights", lambda data: data[: len(data) // 2]),
    "a file emptied": ("state.json", lambda data: b""),
    "zeros": ("weights", lambda data: data[:100] + bytes(400) + data[500:]),
    "a bit": ("weights", flipped),
    "sums cut": (SUMS, lambda data: data[:-30]),
    "sums of zeros": (SUMS, lambda data: bytes(len(data))),
    "sums of another kind": (SUMS, lambda data: b"[1]"),
    "a bit of the sums": (SUMS, flipped),
}


def test_nothing_was_kept(url):
    assert held(url) == (None, [])


def test_the_newest_state_comes_back_and_the_one_before_stays(url):
    checkpoints = CheckpointFolder(url, every_s=0)
    for update in (5, 10, 15):
        checkpoints.save(update, {}, saver(str(update)))
        assert held(url) == (str(update), [])
    assert [name[:15] for name in states(url)] == ["state-000000010", "state-000000015"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_is_named_and_the_one_before_is_taken(tmp_path, damage):
    url = str(tmp_path)
    keep(url, 5, 10)
    file, edit = DAMAGE[damage]
    name = states(url)[-1]
    change(join(url, name), file, edit)
    found, said = held(url)
    assert found == "5"
    assert len(said) == 1
    assert re.fullmatch(rf"{re.escape(join(url, name))}: damaged \([^\n]+\)", said[0])


def test_a_missing_file_is_damage_too(url):
    keep(url, 5, 10)
    (Location.at(url) / states(url)[-1] / "weights").remove()
    found, said = held(url)
    assert found == "5"
    assert "weights is missing" in said[0]


def test_a_training_that_goes_on_from_the_one_before_keeps_it_until_there_are_two_good_ones(url):
    keep(url, 5, 10)
    good, bad = states(url)
    change(join(url, bad), "weights", flipped)
    checkpoints = CheckpointFolder(url, every_s=0)
    assert checkpoints.restore() is not None
    checkpoints.save(10, {}, saver("10"))
    assert good in states(url)
    assert bad not in states(url)
    assert held(url) == ("10", [])
    checkpoints.save(15, {}, saver("15"))
    assert good not in states(url)
    assert len(states(url)) == 2


def test_all_damaged_is_one_line_and_nothing_is_deleted(url):
    keep(url, 5, 10)
    for name in states(url):
        change(join(url, name), "weights", flipped)
    path = Location.at(url)
    before = {name: path.fs.cat_file(name) for name in path.fs.find(path.path)}
    with pytest.raises(UsageError, match=r": damaged .*: damaged .*\. No other checkpoint is left") as refused:
        CheckpointFolder(url).restore()
    assert "\n" not in str(refused.value)
    assert all(name in str(refused.value) for name in states(url))
    assert {name: path.fs.cat_file(name) for name in path.fs.find(path.path)} == before


def test_states_are_written_every_few_seconds_only(url):
    checkpoints = CheckpointFolder(url, every_s=3600)
    checkpoints.save(5, {}, saver("5"))
    assert held(url) == (None, [])


def test_a_state_that_was_not_written_to_its_end_does_not_count(url):
    keep(url, 5)

    def killed():
        yield "weights", b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CheckpointFolder(url, every_s=0).save(10, {}, killed)
    found, said = held(url)
    assert found == "5"
    assert len(said) == 1
    assert said[0].endswith(": incomplete (sums.json is missing)")
    checkpoints = CheckpointFolder(url, every_s=0)
    checkpoints.restore()
    checkpoints.save(10, {}, saver("10 again"))
    assert held(url) == ("10 again", [])
    assert len(states(url)) == 2


def test_the_first_state_of_all_half_written_is_no_reason_to_stop(url):
    def killed():
        yield "weights", b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CheckpointFolder(url, every_s=0).save(5, {}, killed)
    found, said = held(url)
    assert found is None
    assert said[0].endswith(": incomplete (sums.json is missing)")


@pytest.mark.parametrize("file", ["weights", SUMS])
def test_what_is_left_beside_a_good_state_of_the_same_number_is_passed_over_in_silence(url, file):
    """A kill can leave it; after the last step, no later save would remove it."""
    keep(url, 5, 10)
    good = states(url)[-1]
    path = Location.at(url)
    left = f"{good[:15]}-zzzzzzzz"
    (path / left / file).write_atomic(b"{}"[: 2 if file == "weights" else 1])
    assert held(url) == ("10", [])
    (path / good / SUMS).remove()
    found, said = held(url)
    assert found == "5"
    assert [line.split(": ")[0] for line in said] == [join(url, left), join(url, good)]


@pytest.mark.parametrize("file", ["weights", SUMS])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_disk_that_cannot_read_the_newest_state_is_damage(tmp_path, monkeypatch, number, file):
    url = str(tmp_path)
    keep(url, 5, 10)
    bad = join(url, states(url)[-1], file)
    refuse(monkeypatch, bad, number)
    found, said = held(url)
    assert found == "5"
    assert said == [f"{join(url, states(url)[-1])}: damaged ({file} cannot be read: {os.strerror(number)})"]


def test_other_errors_of_reading_are_no_damage(tmp_path, monkeypatch):
    """The user can fix the cause without losing a checkpoint."""
    url = str(tmp_path)
    keep(url, 5, 10)
    refuse(monkeypatch, join(url, states(url)[-1], "weights"), errno.EACCES)
    with pytest.raises(UsageError):
        held(url)


def refuse(monkeypatch, file, number):
    """Make reads of one file fail with an I/O error; file permissions do not stop root."""

    whole = Location.read_bytes

    def read(location, *span):
        if location.path == file:
            raise OSError(number, os.strerror(number), file)
        return whole(location, *span)

    monkeypatch.setattr(Location, "read_bytes", read)


def test_newer_states_of_another_process_are_left_alone(url):
    keep(url, 15)
    late = CheckpointFolder(url, every_s=0)
    late.save(5, {}, saver("5"))
    assert held(url) == ("15", [])


def test_no_room_is_one_line_and_what_was_kept_before_is_left(tmp_path):
    url = str(tmp_path / "run")
    checkpoints = keep(url, 5, 10)
    before = states(url)
    with files_of_at_most(1 << 20), pytest.raises(UsageError, match="File too large") as refused:
        checkpoints.save(15, {}, lambda: iter([("weights", bytes(100)), ("optimizer", bytes(3 << 20))]))
    assert url in str(refused.value)
    assert states(url) == before
    assert held(url) == ("10", [])
    checkpoints.save(15, {}, saver("15"))
    assert held(url) == ("15", [])


def test_a_storage_that_refuses_is_one_line_and_what_was_kept_before_is_left(s3, act_as):
    url = join(s3, "run")
    keep(url, 5, 10)
    act_as(["s3:ListBucket", "s3:GetObject"])
    checkpoints = CheckpointFolder(url, every_s=0)
    assert checkpoints.restore() is not None
    with pytest.raises(UsageError, match="access denied; check the credentials") as refused:
        checkpoints.save(15, {}, saver("15"))
    assert "\n" not in str(refused.value)
    assert held(url) == ("10", [])


@contextlib.contextmanager
def files_of_at_most(count):
    """Simulate a full disk: no file can have more than `count` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[0][1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])


def test_sums_are_plain_sha256(tmp_path):
    keep(str(tmp_path), 5)
    folder = Path(tmp_path, states(str(tmp_path))[0])
    sums = json.loads((folder / SUMS).read_text())
    assert sums == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("weights", "state.json")
    }
