import os

import numpy as np
import pytest

from attn.video.sandbox.slot import Slot, anonymous_file


@pytest.fixture
def ends():
    """Both processes' views of one slot."""
    descriptor = anonymous_file()
    writer, reader = Slot(descriptor), Slot(os.dup(descriptor))
    yield writer, reader
    writer.close()
    reader.close()


def test_what_one_side_writes_the_other_reads(ends):
    writer, reader = ends
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    writer.array(images.shape)[:] = images
    assert np.array_equal(reader.array(images.shape), images)


def test_it_grows_and_keeps_what_is_in_use(ends):
    writer, reader = ends
    writer.array((1, 2, 2, 3))[:] = 7
    small = reader.array((1, 2, 2, 3))
    writer.array((4, 100, 100, 3))[:] = 9
    assert (reader.array((4, 100, 100, 3)) == 9).all()
    assert (small == 9).all()  # the same memory, still mapped


def test_arrays_outlive_the_slot():
    slot = Slot(anonymous_file())
    images = slot.array((1, 4, 4, 3))
    images[:] = 5
    slot.close()
    assert (images == 5).all()


def test_it_has_no_name():
    before = set(os.listdir("/dev/shm"))  # noqa: S108
    slot = Slot(anonymous_file())
    slot.array((1, 100, 100, 3))[:] = 1
    assert set(os.listdir("/dev/shm")) <= before  # noqa: S108
    slot.close()


def test_without_memory_files_a_temporary_one_serves(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    slot = Slot(anonymous_file())
    slot.array((1, 4, 4, 3))[:] = 5
    assert os.fstat(slot.descriptor).st_nlink == 0
    slot.close()


def test_nobody_can_cut_it(ends):
    """Reading what is gone would end the process."""
    writer, reader = ends
    writer.array((1, 100, 100, 3))[:] = 7
    images = reader.filled((1, 100, 100, 3))
    with pytest.raises(PermissionError):
        os.ftruncate(writer.descriptor, 0)
    assert (images == 7).all()


def test_what_nobody_has_written_is_not_shown(ends):
    writer, reader = ends
    writer.array((1, 2, 2, 3))
    with pytest.raises(ValueError, match="greater than file size"):
        reader.filled((1, 100, 100, 3))
    assert os.fstat(reader.descriptor).st_size == 12
