"""Updates of a TSRNet: against the loss written out, several workers, videos and samples drawn."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from attn.losses.mmd import maximum_mean_discrepancy
from attn.stages.time_samples import uniform_samples
from attn.stages.tsrnet_config import TsrnetConfig
from attn.training.bank import Bank
from attn.training.peers import Alone
from attn.training.tsrnet_training import Drawn, TsrnetTrainer, new_net
from attn.training.video_table import VideoTable
from tests.training.threads import Threads

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES, CHANNELS = 3, 5
SMALL = TsrnetConfig(
    attention_dim=4, hidden_dim=6, dropout=0.0, num_samples=4, batch=4, lr=0.05, smoothness=0.3, transfer=0.7
)


def bank_of(lengths, sets, seed):
    videos = {f"{i:02}": one for i, one in enumerate(sets)}
    table = VideoTable.of_label_sets(videos, {f"{i:02}": count for i, count in enumerate(lengths)}, num_classes=CLASSES)
    random = torch.Generator().manual_seed(seed)
    return Bank(torch.randn(sum(lengths), CHANNELS, generator=random, dtype=torch.float64), table)


UNTRIMMED = bank_of((4, 9, 7, 12, 5), ([0], [1, 2], [], [2], [0]), 0)
TRIMMED = bank_of((4, 4, 6), ([1], [2], [0]), 1)


def trainer_of(config=SMALL, peers=None, trimmed=TRIMMED):
    net = new_net(config, num_classes=CLASSES, num_channels=CHANNELS).double()
    return TsrnetTrainer(net, UNTRIMMED, trimmed, config, peers or Alone())


def weights_of(trainer):
    return torch.cat([one.detach().flatten() for one in trainer.net.parameters()])


def test_the_loss_is_that_of_the_paper():
    config = dataclasses.replace(SMALL, batch=5, num_samples=4)
    trainer = trainer_of(config)
    net, losses, means, hiddens = trainer.net, [], [], []
    for bank, kind in ((UNTRIMMED, 0), (TRIMMED, 1)):
        drawn = Drawn(bank, kind)
        videos = drawn.videos(0, 5, config.seed)
        attended = [net.attend(bank.values[torch.from_numpy(one)][None]) for one in drawn.rows(videos, config, 0)]
        means.append(torch.cat([one.mean for one in attended]))
        hiddens.append(torch.cat([one.hidden for one in attended]))
        if kind == 0:
            classes = torch.from_numpy(bank.table.targets[videos]).double()
            labelled = classes.any(1)
            shares = classes[labelled] / classes[labelled].sum(1, keepdim=True)
            losses.append(F.cross_entropy(net.classify(hiddens[0])[labelled], shares))
            steps = torch.cat([one.attention for one in attended]).diff(dim=1)
            losses.append(0.3 * steps.square().sum(1).mean())
    both = [maximum_mean_discrepancy(*reversed(pair)).value for pair in (means, hiddens)]
    expected = sum(losses) + SMALL.sparsity + 0.7 * sum(both)
    step = trainer.update(0)
    assert step.loss == pytest.approx(expected.item())
    assert step.transfer == pytest.approx(sum(both).item())
    assert step.class_loss == pytest.approx(losses[0].item())
    assert step.floor > 0


def test_trimmed_videos_are_classified_on_request():
    steps = [trainer_of(dataclasses.replace(SMALL, trimmed_ce=both)).update(0) for both in (False, True)]
    assert steps[0].class_loss != pytest.approx(steps[1].class_loss, rel=1e-3)
    assert steps[0].transfer == pytest.approx(steps[1].transfer)


@pytest.mark.parametrize("num_samples", [4, "all"])
@pytest.mark.parametrize("size", [2, 5])
def test_several_workers_train_as_one(size, num_samples):
    """There are five untrimmed and three trimmed videos, so that some of five workers have one kind only or none."""
    config = dataclasses.replace(SMALL, num_samples=num_samples, dropout=0.5, trimmed_ce=True, weight_decay=0.01)
    alone = trainer_of(config)
    expected = [alone.update(number) for number in range(6)]
    group = Threads(size)
    trainers = [trainer_of(config, group.worker(rank)) for rank in range(size)]
    with ThreadPoolExecutor(size) as pool:
        steps = list(pool.map(lambda trainer: [trainer.update(number) for number in range(6)], trainers))
    for trainer, found in zip(trainers, steps, strict=True):
        assert [tuple(step) for step in found] == [pytest.approx(tuple(step)) for step in expected]
        torch.testing.assert_close(weights_of(trainer), weights_of(alone), rtol=0, atol=1e-12)


def test_the_learning_rate_falls_to_a_tenth():
    trainer = trainer_of(dataclasses.replace(SMALL, lr_every=2))
    rates = []
    for number in range(5):
        trainer.update(number)
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005])


def test_every_pass_has_each_video_once():
    drawn = Drawn(UNTRIMMED, 0)
    videos = np.concatenate([drawn.videos(number, 2, 0) for number in range(10)])
    for start in range(0, 20, 5):
        assert sorted(videos[start : start + 5]) == [*range(5)]
    assert len({tuple(videos[start : start + 5]) for start in range(0, 20, 5)}) > 1
    assert len(drawn.videos(0, 16, 0)) == 5


def test_without_trimmed_videos_nothing_is_transferred():
    step = trainer_of(trimmed=None).update(0)
    assert (step.transfer, step.floor) == (0, 0)


def test_with_a_weight_of_zero_trimmed_videos_change_nothing():
    """Without L_KT, the network is the paper's SRNet."""
    trainers = [trainer_of(dataclasses.replace(SMALL, transfer=0.0)), trainer_of(SMALL, trimmed=None), trainer_of()]
    for trainer in trainers:
        for number in range(4):
            trainer.update(number)
    off, none, on = map(weights_of, trainers)
    torch.testing.assert_close(off, none, rtol=0, atol=1e-12)
    assert (on - none).abs().max() > 1e-3


def test_samples_of_a_video_stay_in_it():
    rows = Drawn(UNTRIMMED, 0).rows(np.array([3]), dataclasses.replace(SMALL, num_samples=50), 1)[0]
    assert {*rows} == {*range(20, 32)}
    assert len(uniform_samples(12, 50)) == 50
