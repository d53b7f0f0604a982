"""docs/adding.md: its blocks run, and its model is trained, resumed, refused and evaluated as those of the project."""

import json
import logging
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import ray
import safetensors.torch
import torch

from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.errors import UsageError
from tests.stores import plant

PAGE = Path(__file__).parents[2] / "docs/adding.md"


@pytest.fixture(scope="module")
def page():
    """The blocks of the page as one module; the price of a name of its own is that workers cannot import it."""
    module = ModuleType("adding")
    sys.modules["adding"] = module  # dataclasses look their module up
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), module.__dict__)  # noqa: S102  the page is ours
    yield module
    del sys.modules["adding"], module.LOADERS["linear"]


@pytest.fixture
def options(page, tmp_path):
    plant(tmp_path)
    return page.LinearOptions(
        str(tmp_path / "store"), str(tmp_path / "train.txt"), str(tmp_path / "linear.safetensors")
    )


def test_the_blocks_run(page):
    assert page.maps.shape[1] == 5


def test_the_model_is_trained_and_evaluated(page, options, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert page.train(page.LinearTraining(options)) == 0
    assert re.search(r"epoch 30/30: loss 0\.\d+", caplog.text)
    out = tmp_path / "scores"
    assert evaluate(EvaluateOptions(options.store, str(tmp_path / "test.txt"), str(out), model=(options.out,))) == 0
    assert json.loads((out / "metrics.json").read_text())["methods"]["linear"]["top_1"]["value"] > 0.9


@pytest.mark.long
def test_two_workers_of_ray_train_learn_what_one_learns(page, options, tmp_path):
    ray.cloudpickle.register_pickle_by_value(page)  # no worker can import it
    assert page.train(page.LinearTraining(options)) == 0
    two = page.dataclasses.replace(options, out=str(tmp_path / "two.safetensors"), workers=2)
    try:
        assert page.train(page.LinearTraining(two)) == 0
    finally:
        ray.cloudpickle.unregister_pickle_by_value(page)
        ray.shutdown()
    one, other = (safetensors.torch.load_file(path) for path in (options.out, two.out))
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=0, atol=1e-2)  # shares of unequal size weigh the same


def test_the_same_command_resumes_and_another_is_refused(page, options, tmp_path, monkeypatch):
    assert page.train(page.LinearTraining(options)) == 0
    whole = safetensors.torch.load_file(options.out)
    other = page.dataclasses.replace(options, out=str(tmp_path / "other.safetensors"))
    step = page.LinearLearner.next_row

    def interrupted(learner, rows):
        if len(rows) == 10:
            raise KeyboardInterrupt
        return step(learner, rows)

    monkeypatch.setattr(page.LinearLearner, "next_row", interrupted)
    with pytest.raises(KeyboardInterrupt):
        page.train(page.LinearTraining(other))
    monkeypatch.undo()
    assert page.train(page.LinearTraining(other)) == 0
    assert all(torch.equal(whole[name], tensor) for name, tensor in safetensors.torch.load_file(other.out).items())
    with pytest.raises(UsageError, match=r"lr: 0\.1 here, 0\.5 there"):
        page.train(page.LinearTraining(page.dataclasses.replace(other, lr=0.1)))
