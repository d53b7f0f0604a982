import numpy as np
import pytest
import torch

from attn.stages.batches import Photographs, epoch_order, mixed_order

CPU = torch.device("cpu")


@pytest.fixture
def photographs():
    """Twelve rows of which ten belong; every pixel of row i, column j is 10 i + j."""
    pixels = (10 * np.arange(12)[:, None, None, None] + np.arange(4)[:, None]).astype(np.uint8)
    return Photographs(np.broadcast_to(pixels, (12, 4, 4, 3)), np.arange(12) % 5, np.arange(1, 11), CPU)


@pytest.mark.parametrize(("images", "batch_size"), [(10, 4), (1, 4), (33, 32), (64, 32), (7, 1)])
def test_a_pass_sees_every_image_once_in_batches_of_nearly_one_size(images, batch_size):
    batches = epoch_order(images, batch_size, seed=0, epoch=0).batches
    assert sorted(np.concatenate(batches)) == list(range(images))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-images // batch_size)


def test_the_order_follows_from_seed_and_epoch_alone():
    def flat(seed, epoch):
        order = epoch_order(50, 8, seed=seed, epoch=epoch)
        return [*np.concatenate(order.batches), *order.mirrored]

    assert flat(3, 4) == flat(3, 4)
    assert flat(3, 4) != flat(3, 5)
    assert flat(3, 4) != flat(4, 4)


def test_about_half_of_the_images_are_mirrored():
    assert 0.4 < epoch_order(1000, 32, seed=0, epoch=0).mirrored.mean() < 0.6


def test_classes_of_one_size_come_in_the_order_of_no_classes():
    plain, balanced = (epoch_order(12, 5, seed=3, epoch=1, labels=some) for some in (None, np.arange(12) % 3))
    assert [one.tolist() for one in balanced.batches] == [one.tolist() for one in plain.batches]
    assert balanced.mirrored.tolist() == plain.mirrored.tolist()


def test_classes_of_unequal_size_come_equally_often():
    labels = np.repeat([0, 1, 2], [3, 10, 48])
    drawn = [np.concatenate(epoch_order(61, 8, seed=0, epoch=e, labels=labels).batches) for e in range(60)]
    sizes = np.array([np.bincount(labels[some]) for some in drawn])
    assert set(sizes.sum(axis=1)) == {61}
    assert (sizes.max(axis=1) - sizes.min(axis=1) == 1).all()
    assert (sizes == 21).any(axis=0).all()  # the one that is left over goes round
    times = np.array([np.bincount(some, minlength=61) for some in drawn])
    for label, (least, most) in enumerate([(6, 7), (2, 3), (0, 1)]):
        assert set(np.unique(times[:, labels == label])) == {least, most}
    assert times.sum(axis=0).min() > 0  # and no picture waits for ever
    assert not np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[2], np.concatenate(epoch_order(61, 8, seed=0, epoch=2, labels=labels).batches))
    firsts = [some[:20] for some in drawn]
    assert np.mean([(labels[some] == 0).mean() for some in firsts]) == pytest.approx(1 / 3, abs=0.05)


def test_images_beside_the_batches_go_round_class_by_class_without_end():
    labels, sizes = np.repeat([0, 1, 2], [3, 10, 48]), [4, 4, 4, 3]
    orders = [mixed_order(labels, sizes, seed=5, epoch=epoch) for epoch in range(48)]
    assert {tuple(map(len, order.batches)) for order in orders} == {tuple(sizes)}
    drawn = [np.concatenate(order.batches) for order in orders]
    for batch in (batch for order in orders for batch in order.batches):
        counts = np.bincount(labels[batch], minlength=3)
        assert max(counts) - min(counts) <= 2  # the end of one round and the beginning of another
    assert np.bincount(np.concatenate(drawn)).tolist() == [80] * 3 + [24] * 10 + [5] * 48
    assert len({tuple(one) for one in drawn}) == 48
    assert 0.4 < np.mean([order.mirrored for order in orders]) < 0.6
    again = mixed_order(labels, sizes, seed=5, epoch=7)
    assert np.array_equal(np.concatenate(again.batches), drawn[7])
    assert np.array_equal(again.mirrored, orders[7].mirrored)
    assert np.bincount(labels[np.concatenate(mixed_order(labels, [7, 7], seed=5, epoch=0).batches)]).min() == 4
    other = mixed_order(labels, sizes, seed=6, epoch=7)
    assert not np.array_equal(np.concatenate(other.batches), drawn[7])


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_workers_together_see_the_same_batches(photographs, workers):
    order = epoch_order(10, 4, seed=1, epoch=2)
    alone = list(photographs.shares(order, worker=0, workers=1))
    shares = [list(photographs.shares(order, worker=worker, workers=workers)) for worker in range(workers)]
    for whole, *parts in zip(alone, *shares, strict=True):
        assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
        assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))
        assert {part.total for part in parts} == {len(whole.labels)}


def test_a_mirrored_image_is_flipped_left_to_right_and_keeps_its_label(photographs):
    order = epoch_order(10, 10, seed=0, epoch=0)
    (batch,) = photographs.shares(order, worker=0, workers=1)
    columns = torch.arange(4)
    for position, image, label in zip(order.batches[0], batch.images, batch.labels, strict=True):
        row = position + 1
        expected = 10 * row + (columns.flip(0) if order.mirrored[position] else columns)
        assert torch.equal(image, expected.to(torch.uint8)[None, :, None].expand(4, 4, 3))
        assert label == row % 5


@pytest.mark.parametrize("workers", [1, 3])
def test_validation_sees_every_image_once_and_none_mirrored(photographs, workers):
    parts = [batch for worker in range(workers) for batch in photographs.share(3, worker=worker, workers=workers)]
    images = torch.cat([part.images for part in parts])
    assert images[:, 0, 0, 0].tolist() == [10 * row for row in range(1, 11)]
