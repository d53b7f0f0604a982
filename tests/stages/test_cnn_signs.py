import numpy as np
import pytest

from attn.stages.cnn_signs import CnnSigns

LOGITS = {"same": np.array([[1.0, 3.0], [0.0, 2.0]]), "other": np.array([[4.0, 3.0]])}
MAPS = {"zero": np.zeros((2, 2, 3, 3), np.float16), "some": np.eye(3, dtype=np.float16)[None, None]}


@pytest.mark.parametrize(
    ("videos", "said"),
    [
        ([{"logits": LOGITS["same"]}, {"logits": LOGITS["same"]}], ["the CNN takes every frame for Wave"]),
        ([{"logits": LOGITS["same"]}, {"logits": LOGITS["other"]}], []),
        ([{"maps": MAPS["zero"]}, {"maps": MAPS["zero"]}], ["all maps of the CNN are zero"]),
        ([{"maps": MAPS["zero"]}, {"maps": MAPS["some"]}, {"maps": MAPS["zero"]}], []),
        ([{"maps": MAPS["zero"], "logits": LOGITS["same"]}], ["the CNN takes every", "all maps"]),
        ([{"features": np.zeros((2, 4))}], []),
        ([], []),
    ],
)
def test_a_cnn_that_tells_nothing_apart_is_named(videos, said):
    signs = CnnSigns()
    for tensors in videos:
        signs.add(tensors)
    texts = signs.texts(class_names=("Kick", "Wave"))
    assert [text.startswith(start) for text, start in zip(texts, said, strict=True)] == [True] * len(said)
