from collections.abc import Callable

import numpy as np
import pytest

from attn.methods import METHODS
from attn.schema import FEATURES, GRID, LOGITS, MAPS, attention_schema
from attn.stages import scoring
from attn.stages.scoring import CnnAverage, CnnSoftmaxVote, CnnVote, InTable, UnAtt
from attn.storage.store import VideoRows

RowsOf = Callable[..., VideoRows]


@pytest.fixture
def rows_of() -> RowsOf:
    """rows_of(logits=…, maps=…): rows of a video as the store gives them, arrays read-only."""

    def make(**tensors: np.ndarray) -> VideoRows:
        count = len(next(iter(tensors.values())))
        for values in tensors.values():
            values.flags.writeable = False
        frame = np.arange(count, dtype=np.int32)
        return VideoRows("v", 0, False, frame, frame.astype(np.float32), tensors)

    return make


def slow_unatt(maps: np.ndarray, window: int) -> np.ndarray:
    count, num_classes, rows, cols = maps.shape
    energies = np.zeros((count, num_classes))
    for frame in range(count):
        for cls in range(num_classes):
            energies[frame, cls] = max(
                maps[frame, cls, i : i + window, j : j + window].astype(np.float64).sum()
                for i in range(rows - window + 1)
                for j in range(cols - window + 1)
            )
    return energies.mean(axis=0)


@pytest.mark.parametrize("shape", [(1, 3, 7, 7), (6, 2, 14, 14), (4, 1, 3, 5)])
@pytest.mark.parametrize("window", [1, 3])
def test_unatt_equals_the_slow_loops(rows_of: RowsOf, shape: tuple[int, ...], window: int) -> None:
    maps = np.random.default_rng(0).random(shape).astype(np.float16)
    np.testing.assert_allclose(UnAtt(window)(rows_of(maps=maps)), slow_unatt(maps, window), rtol=1e-6)


def test_unatt_of_a_long_video_does_not_depend_on_the_chunks(rows_of: RowsOf, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(maps=np.random.default_rng(1).random((23, 3, 4, 4)).astype(np.float16))
    whole = UnAtt()(rows)
    for at_once in (1, 5, 23):
        monkeypatch.setattr(scoring, "FRAMES_AT_ONCE", at_once)
        np.testing.assert_array_equal(UnAtt()(rows), whole)


def test_unatt_counts_every_frame_alike(rows_of: RowsOf) -> None:
    maps = np.random.default_rng(2).random((9, 3, 5, 5)).astype(np.float16)
    whole = UnAtt()(rows_of(maps=maps))
    np.testing.assert_allclose(UnAtt()(rows_of(maps=np.concatenate([maps[::-1], maps]))), whole, rtol=1e-6)


def test_unatt_reads_a_place_that_the_vote_cannot_see(rows_of: RowsOf) -> None:
    # The class's attention is concentrated in one, spread out in the other; both have the same total.
    maps = np.zeros((1, 2, 5, 5), np.float16)
    maps[0, 0, 1:3, 1:3] = 1
    maps[0, 1, ::4, ::4] = 1
    assert UnAtt()(rows_of(maps=maps)).tolist() == [4, 1]


def test_cnn_variants_by_hand(rows_of: RowsOf) -> None:
    rows = rows_of(logits=np.array([[1, 0], [3, 0], [0, 100]], np.float32))
    assert CnnVote()(rows).tolist() == [2, 0]
    np.testing.assert_allclose(CnnAverage()(rows), [4 / 3, 100 / 3])
    first, second = np.exp(1) / (np.exp(1) + 1), np.exp(3) / (np.exp(3) + 1)
    np.testing.assert_allclose(CnnSoftmaxVote()(rows)[0], (first + second) / 2)
    assert CnnSoftmaxVote()(rows).sum() == pytest.approx(1)


def test_a_bias_of_the_last_layer_moves_the_cnn_and_not_unatt(rows_of: RowsOf) -> None:
    logits = np.array([[1, 0], [2, 0]], np.float32)
    maps = np.random.default_rng(3).random((2, 2, 3, 3)).astype(np.float16)
    before, after = rows_of(logits=logits, maps=maps), rows_of(logits=logits + np.array([0, 9], np.float32), maps=maps)
    assert CnnVote()(before).argmax() != CnnVote()(after).argmax()
    np.testing.assert_array_equal(UnAtt()(before), UnAtt()(after))


def test_every_line_of_the_table_has_a_scorer_and_reads_columns_of_a_store() -> None:
    assert {kind.name for kind in InTable.__subclasses__()} == METHODS.keys()
    known = attention_schema((MAPS, LOGITS, FEATURES, GRID), num_classes=1, num_channels=1, map_shape=(1, 1)).names
    assert all({*method.columns} <= {*known} for method in METHODS.values())


@pytest.mark.parametrize("scorer", [CnnVote(), CnnSoftmaxVote(), CnnAverage(), UnAtt(3)])
def test_a_scorer_reads_its_columns_and_no_other(scorer: scoring.Scorer, rows_of: RowsOf) -> None:
    tensors = {"logits": np.ones((2, 3), np.float32), "maps": np.ones((2, 3, 4, 4), np.float16)}
    rows = rows_of(**{name: values for name, values in tensors.items() if name in scorer.columns})
    assert scorer(rows).shape == (3,)
