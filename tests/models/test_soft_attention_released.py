"""The network against a float64 loop of the released step, in numpy: outputs, attention weights, gradients."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from attn.losses.doubly_stochastic import doubly_stochastic_penalty
from attn.losses.step_cross_entropy import step_cross_entropy
from attn.models.released_weights import set_released_weights
from attn.models.soft_attention import Architecture, SoftAttention

BATCH, STEPS, CELLS, CHANNELS, WIDTH, CLASSES = 2, 3, 4, 3, 5, 3
Weights = Mapping[str, np.ndarray]


def architecture(**settings: Any) -> Architecture:
    sizes = {"num_classes": CLASSES, "num_channels": CHANNELS, "num_cells": CELLS, "hidden_dim": WIDTH}
    return Architecture(**sizes | {"dropout": 0.0} | settings)


def random_net(shape: Architecture) -> SoftAttention:
    torch.manual_seed(0)
    net = SoftAttention(shape).double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(0, 0.7)
    return net


def random_cubes(*, batch: int = BATCH) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(batch, STEPS, CELLS, CHANNELS))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def additive_logit(w: Weights, name: str, layers: int, cell: np.ndarray, h: np.ndarray) -> float:
    p = w[f"{name}.frame.weight"] @ cell + w[f"{name}.frame.bias"]
    for layer in range(1, layers):
        p = w[f"{name}.deeper.{layer - 1}.weight"] @ p + w[f"{name}.deeper.{layer - 1}.bias"]
        if layer != layers - 1:
            p = np.tanh(p)
    e = w[f"{name}.score.weight"][0] @ np.tanh(p + w[f"{name}.state.weight"] @ h) + w[f"{name}.score.bias"][0]
    return float(e)


def slow_window(w: Weights, shape: Architecture, cubes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits and attention weights of one window, step by step, layer by layer, cell by cell."""
    d, top = shape.hidden_dim, shape.lstm_layers - 1
    mu = np.mean([cubes[t, i] for t in range(len(cubes)) for i in range(len(cubes[t]))], axis=0)
    h, c = [], []
    for n in range(shape.lstm_layers):
        h.append(np.tanh(w[f"layers.{n}.start_hidden.weight"] @ mu + w[f"layers.{n}.start_hidden.bias"]))
        c.append(np.tanh(w[f"layers.{n}.start_cell.weight"] @ mu + w[f"layers.{n}.start_cell.bias"]))
    logits, attention = [], []
    for t in range(len(cubes)):
        before = [state.copy() for state in h]
        for n in range(shape.lstm_layers):
            gates = w[f"layers.{n}.recurrent.weight"] @ before[n] + w[f"layers.{n}.recurrent.bias"]
            if n == 0 or shape.depth_form == "per_layer":
                driver = before[top] if shape.depth_form == "top" else before[n]
                name, cells = f"layers.{n}.attention", cubes[t]
                if shape.attention == "additive":
                    e = [additive_logit(w, name, shape.attention_layers, cell, driver) for cell in cells]
                else:
                    e = [float(w[f"{name}.state.weight"][i] @ driver) for i in range(len(cells))]
                if shape.attention == "linear":
                    e = [e[i] + float(w[f"{name}.frame.weight"][i] @ cells[i]) for i in range(len(cells))]
                weights = softmax(np.array(e))
                x = sum(weights[i] * cells[i] for i in range(len(cells)))
                gates = gates + w[f"layers.{n}.glimpse.weight"] @ x
            if n > 0:
                gates = gates + w[f"layers.{n}.below.weight"] @ h[n - 1]
            i, f, o, g = (gates[k * d : (k + 1) * d] for k in range(4))
            c[n] = sigmoid(f) * c[n] + sigmoid(i) * np.tanh(g)
            h[n] = sigmoid(o) * np.tanh(c[n])
        attention.append(weights)
        inner = np.tanh(w["output_hidden.weight"] @ h[top] + w["output_hidden.bias"])
        logits.append(w["output.weight"] @ inner + w["output.bias"])
    return np.array(logits), np.array(attention)


def slow_loss(w: Weights, shape: Architecture, cubes: np.ndarray, labels: list[int], penalty: float) -> float:
    total = 0.0
    for window, label in zip(cubes, labels, strict=True):
        logits, attention = slow_window(w, shape, window)
        total -= sum(np.log(softmax(step)[label]) for step in logits)
        total += penalty * sum((1 - sum(attention[t][i] for t in range(STEPS))) ** 2 for i in range(CELLS))
    return float(total)


def arrays(net: SoftAttention) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy().copy() for name, tensor in net.state_dict().items()}


FORMS = [
    {},
    {"attention_layers": 2},
    {"attention_layers": 3},
    {"lstm_layers": 3},
    {"lstm_layers": 3, "depth_form": "top"},
    {"lstm_layers": 2, "depth_form": "bottom", "attention_layers": 3},
    {"attention": "hidden"},
    {"attention": "linear", "lstm_layers": 2},
]
every_form = pytest.mark.parametrize("form", FORMS, ids=str)


@every_form
def test_outputs_and_attention_weights(form):
    shape = architecture(**form)
    net, cubes = random_net(shape), random_cubes()
    logits, attention = net(torch.from_numpy(cubes))
    for window in range(BATCH):
        expected = slow_window(arrays(net), shape, cubes[window])
        np.testing.assert_allclose(logits[window].detach().numpy(), expected[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(attention[window].detach().numpy(), expected[1], rtol=0, atol=1e-12)


def central_difference(loss: Callable[[], float], values: np.ndarray, place: tuple[int, ...], step: float) -> float:
    """Derivative at one number, with an error of the order of the fourth power of the step."""
    start, found = values[place], {}
    for shift in (-2, -1, 1, 2):
        values[place] = start + shift * step
        found[shift] = loss()
    values[place] = start
    return (8 * (found[1] - found[-1]) - (found[2] - found[-2])) / (12 * step)


def some_places(weights: Weights) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A few numbers of every tensor."""
    rng = np.random.default_rng(0)
    for name, values in weights.items():
        for flat in rng.choice(values.size, min(3, values.size), replace=False):
            yield name, tuple(int(i) for i in np.unravel_index(flat, values.shape))


@every_form
def test_gradients_are_central_differences_of_the_loop(form):
    shape, labels, penalty = architecture(**form), [2, 0], 0.3
    net, cubes = random_net(shape), random_cubes()
    logits, attention = net(torch.from_numpy(cubes))
    loss = step_cross_entropy(logits, torch.tensor(labels)) + penalty * doubly_stochastic_penalty(attention)
    loss.sum().backward()
    gradients = {name: weight.grad.numpy() for name, weight in net.named_parameters()}
    weights = arrays(net)
    assert gradients.keys() == weights.keys()
    for name, place in some_places(weights):
        slow = central_difference(lambda: slow_loss(weights, shape, cubes, labels, penalty), weights[name], place, 5e-4)
        assert gradients[name][place] == pytest.approx(slow, rel=1e-9, abs=1e-9), (name, place)


def test_the_score_of_a_step_comes_from_a_layer_without_tanh_between_the_first_two():
    """Two attention layers are one linear map, three are not."""
    for layers, linear in ((2, True), (3, False)):
        attention = random_net(architecture(attention_layers=layers)).layers[0].attention
        cubes = torch.from_numpy(random_cubes()[0])
        zero = attention.project(torch.zeros_like(cubes))
        twice = attention.project(2 * cubes) - zero
        assert torch.allclose(twice, 2 * (attention.project(cubes) - zero)) == linear


# Initial weights as released


def expected_shapes(channels: int, width: int, classes: int, deeper: int) -> dict[str, tuple[int, ...]]:
    return {
        "layers.0.recurrent.weight": (4 * width, width),
        "layers.0.recurrent.bias": (4 * width,),
        "layers.0.glimpse.weight": (4 * width, channels),
        "layers.0.start_hidden.weight": (width, channels),
        "layers.0.start_hidden.bias": (width,),
        "layers.0.start_cell.weight": (width, channels),
        "layers.0.start_cell.bias": (width,),
        "layers.0.attention.frame.weight": (channels, channels),
        "layers.0.attention.frame.bias": (channels,),
        **{f"layers.0.attention.deeper.{n}.weight": (channels, channels) for n in range(deeper)},
        **{f"layers.0.attention.deeper.{n}.bias": (channels,) for n in range(deeper)},
        "layers.0.attention.state.weight": (channels, width),
        "layers.0.attention.score.weight": (1, channels),
        "layers.0.attention.score.bias": (1,),
        "output_hidden.weight": (width, width),
        "output_hidden.bias": (width,),
        "output.weight": (classes, width),
        "output.bias": (classes,),
    }


ALWAYS = {"layers.0.recurrent.weight", "output_hidden.weight"}
IF_SQUARE = {f"layers.0.{name}.weight" for name in ("glimpse", "start_hidden", "start_cell", "attention.state")}


@pytest.mark.parametrize(("width", "deeper"), [(96, 0), (192, 2)])
def test_initial_weights_as_released(width, deeper):
    """Sizes as in the released code, divided by 5.3: 512 or 1024 units for 1024 channels."""
    channels, classes = 192, 51
    torch.manual_seed(0)
    net = SoftAttention(Architecture(classes, channels, 49, attention_layers=deeper + 1, hidden_dim=width))
    set_released_weights(net)
    weights = net.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    assert shapes == expected_shapes(channels, width, classes, deeper)
    orthogonal = ALWAYS | (IF_SQUARE if width == channels else set())
    orthogonal |= {f"layers.0.attention.deeper.{n}.weight" for n in range(deeper)}
    for name, tensor in weights.items():
        if name.endswith("bias"):
            assert not tensor.any(), name
        elif name in orthogonal:
            for block in tensor.split(tensor.shape[1]):
                assert (block.T @ block - torch.eye(len(block))).abs().max() < 1e-5, (
                    name
                )  # sums of up to 1024 float32 terms
        else:
            spread = 5 * 0.01 / (2 * tensor.numel()) ** 0.5
            assert tensor.std().item() == pytest.approx(0.01, abs=spread), name
