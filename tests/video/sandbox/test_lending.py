import gc

import numpy as np
import pytest

from attn.video.sandbox.channel import MessageError
from attn.video.sandbox.lending import SlotLender
from attn.video.sandbox.slot import Slot, anonymous_file

SHAPE = (2, 3, 4, 3)


@pytest.fixture
def slots():
    made = [Slot(anonymous_file()) for _ in range(3)]
    for number, slot in enumerate(made):
        slot.array(SHAPE)[:] = number
    yield made
    for slot in made:
        slot.close()


def test_images_are_the_slot_itself_until_they_are_dropped(slots):
    lender = SlotLender(slots, most=2)
    images = lender.images(1, SHAPE)
    assert np.may_share_memory(images, slots[1].array(SHAPE)) or (slots[1].array(SHAPE)[:] == 1).all()
    slots[1].array(SHAPE)[:] = 42
    assert (images == 42).all()
    assert lender.returned() == ()
    del images
    assert lender.returned() == (1,)
    assert lender.returned() == ()


@pytest.mark.parametrize("view", [lambda a: a[1:], lambda a: a[0][0], lambda a: a.reshape(-1), lambda a: memoryview(a)])
def test_any_view_keeps_the_slot_out(slots, view):
    lender = SlotLender(slots, most=2)
    part = view(lender.images(0, SHAPE))
    gc.collect()
    assert lender.returned() == ()
    del part
    gc.collect()
    assert lender.returned() == (0,)


def test_when_too_many_are_out_images_are_copied(slots):
    lender = SlotLender(slots, most=1)
    held = lender.images(0, SHAPE)
    copied = lender.images(1, SHAPE)
    assert lender.returned() == (1,)
    slots[1].array(SHAPE)[:] = 99
    assert (copied == 1).all()
    assert (held == 0).all()


def test_a_returned_slot_may_be_lent_again(slots):
    lender = SlotLender(slots, most=1)
    for number in (0, 1, 2, 0):
        images = lender.images(number, SHAPE)
        slots[number].array(SHAPE)[:] = number + 10
        assert (images == number + 10).all()  # not copied
        del images
        assert lender.returned() == (number,)


def test_only_a_slot_that_can_have_been_filled(slots):
    lender = SlotLender(slots, most=2)
    held = lender.images(1, SHAPE)
    lender.drop(2)
    for slot in (-1, 1, 2, 3):
        with pytest.raises(MessageError, match="a slot that was not free"):
            lender.images(slot, SHAPE)
        with pytest.raises(MessageError, match="a slot that was not free"):
            lender.drop(slot)
    assert lender.returned() == (2,)
    assert (held == 1).all()


def test_only_as_much_as_was_filled(slots):
    with pytest.raises(MessageError, match="larger than their slot"):
        SlotLender(slots, most=2).images(0, (2, 3000, 4000, 3))
