"""Scores of whole videos and attention of their frames, against loops over windows and steps."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attn.models.soft_attention import SoftAttention
from attn.schema import GRID
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.soft_attention_scoring import SoftAttentionScore, score_videos
from attn.stages.windows import Windows
from attn.storage.store import VideoRows
from attn.training.soft_attention_training import new_net

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS, COLS, CHANNELS, CLASSES = 2, 3, 4, 3
NUM_FRAMES = (6, 1, 9, 3)


def config_of(**settings: Any) -> SoftAttentionConfig:
    return SoftAttentionConfig(**{"hidden_dim": 5, "window_frames": 4, "batch": 3} | settings)


def net_of(config: SoftAttentionConfig, **settings: Any) -> SoftAttention:
    net = new_net(config, num_classes=CLASSES, num_channels=CHANNELS, num_cells=ROWS * COLS, **settings).double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(0, 1.5, generator=torch.Generator().manual_seed(weight.numel()))
    return net


def grids_of(frames: int = sum(NUM_FRAMES)) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(frames, ROWS * COLS, CHANNELS, dtype=torch.float64, generator=random)


def windows_of(num_frames: tuple[int, ...] = NUM_FRAMES, **settings: int) -> Windows:
    return Windows.of(np.array(num_frames), **{"frames": 4, "stride": 1, "skip": 1} | settings)


def slow_scores(net: SoftAttention, windows: Windows, mode: bool, last: int) -> list[list[float]]:
    found: dict[int, list[Tensor]] = {}
    for number in range(len(windows)):
        rows = windows.rows(np.array([number]))[0]
        with torch.no_grad():
            logits = net.eval()(grids_of()[rows][None]).logits[0]
        steps = [net.probabilities(step) for step in logits][-last:]
        mean = torch.stack(steps).sum(0) / last
        if mode:
            mean = torch.eye(CLASSES, dtype=torch.float64)[mean.argmax()]
        found.setdefault(int(windows.video[number]), []).append(mean)
    return [torch.stack(found[video]).mean(0).tolist() for video in range(len(NUM_FRAMES))]


@pytest.mark.parametrize("pooling", ["attention", "max"])
@pytest.mark.parametrize("skip", [1, 2])
@pytest.mark.parametrize(("aggregation", "last"), [("mean", 4), ("mean", 2), ("mode", 4), ("mode", 1)])
def test_scores_equal_slow_loops(pooling, skip, aggregation, last):
    net, windows = net_of(config_of(pooling=pooling)), windows_of(skip=skip)
    scored = score_videos(
        net, grids_of(), windows, 4, aggregation=aggregation, last_steps=None if last == 4 else last, batch=3
    )
    expected = slow_scores(net, windows, aggregation == "mode", last)
    np.testing.assert_allclose(scored.scores.numpy(), expected, rtol=0, atol=1e-12)
    assert (scored.attention is None) == (pooling == "max")


def test_several_classes_have_sigmoids_of_the_last_steps():
    net, windows = net_of(config_of(), multi_label=True), windows_of()
    scored = score_videos(net, grids_of(), windows, 4, last_steps=2)
    np.testing.assert_allclose(scored.scores.numpy(), slow_scores(net, windows, False, 2), rtol=0, atol=1e-12)
    assert abs(scored.scores.sum(1) - 1).max() > 0.1


def test_attention_of_a_frame_is_the_mean_over_all_windows_that_contain_it():
    net, windows = net_of(config_of()), windows_of(skip=2)
    found, seen = torch.zeros(len(grids_of()), ROWS * COLS, dtype=torch.float64), Counter[int]()
    for number in range(len(windows)):
        rows = windows.rows(np.array([number]))[0]
        with torch.no_grad():
            attention = net.eval()(grids_of()[rows][None]).attention[0]
        for row, weights in zip(rows.tolist(), attention, strict=True):
            found[row] += weights
            seen[row] += 1
    scored = score_videos(net, grids_of(), windows, 4, batch=4)
    for row in range(len(grids_of())):
        if seen[row]:
            np.testing.assert_allclose(scored.attention[row].numpy(), (found[row] / seen[row]).numpy(), atol=1e-12)
        else:
            assert scored.attention[row].isnan().all()
    assert 0 < len(seen) < len(grids_of())


def test_a_video_without_frames_scores_zero():
    scored = score_videos(net_of(config_of()), grids_of(3), windows_of((3, 0)), 2)
    assert scored.scores[1].tolist() == [0, 0, 0]
    assert scored.scores[0].sum().item() == pytest.approx(1)


def test_the_size_of_batches_changes_nothing():
    net, windows = net_of(config_of(lstm_layers=2)), windows_of()
    one, all_ = (score_videos(net, grids_of(), windows, 4, batch=batch) for batch in (1, 100))
    torch.testing.assert_close(one.scores, all_.scores, rtol=0, atol=1e-13)
    torch.testing.assert_close(one.attention, all_.attention, rtol=0, atol=1e-13)


def test_frames_of_a_batch_are_projected_once():
    net, rows = net_of(config_of()), []
    net.layers[0].attention.frame.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    score_videos(net, grids_of(9), windows_of((9,)), 1, batch=100)
    assert rows == [9]  # of 6 windows with 24 frames


@pytest.mark.parametrize(
    "settings", [{}, {"last_steps": 2}, {"test_aggregation": "mode", "last_steps": 2}, {"fps": 15, "window_stride": 2}]
)
def test_the_scorer_of_a_store(settings):
    config = config_of(**settings)
    net, grids = net_of(config), grids_of(9)
    columns = grids.transpose(1, 2).reshape(9, CHANNELS, ROWS, COLS).numpy()
    rows = VideoRows("v", None, False, np.arange(9), np.arange(9.0), {GRID: columns})
    scorer = SoftAttentionScore(net, config)
    windows = windows_of((9,), stride=config.window_stride, skip=config.skip)
    expected = score_videos(net, grids, windows, 1, aggregation=config.test_aggregation, last_steps=config.last_steps)
    np.testing.assert_allclose(scorer(rows), expected.scores[0].numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(scorer.scored(rows).attention, expected.attention, rtol=0, atol=1e-12)
    assert (scorer.name, scorer.columns, scorer.calibrated) == ("soft_attention", (GRID,), False)
    assert ("predict" in scorer.definition) == (config.test_aggregation == "mode")
    assert ("last 2" in scorer.definition) == (config.last_steps == 2)
