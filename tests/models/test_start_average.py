"""The mean of start and trained weights, and that the training does not notice it."""

import pytest
import torch
from torch import nn

from attn.models.start_average import StartAverage


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def changed(network):
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.add_(1)


def state(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_within_the_weights_are_the_mean_and_afterwards_their_own(network):
    start = state(network)
    average = StartAverage(network, 0.25)
    changed(network)
    own = state(network)
    with average.applied():
        for name, tensor in network.state_dict().items():
            expected = own[name] if name.endswith("num_batches_tracked") else 0.25 * start[name] + 0.75 * own[name]
            assert torch.allclose(tensor, expected, rtol=1e-6)
    assert all(torch.equal(tensor, own[name]) for name, tensor in network.state_dict().items())


def test_a_network_may_be_moved_after_the_start(network):
    """Ray Train moves it to its device; here it is another precision."""
    average = StartAverage(network, 0.5)
    start = state(network)["0.weight"].double()
    network.double()
    changed(network)
    with average.applied():
        assert torch.allclose(network[0].weight, start + 0.5)


def test_an_error_within_leaves_the_own_weights(network):
    average = StartAverage(network, 0.5)
    changed(network)
    own = state(network)
    with pytest.raises(RuntimeError, match="broken"), average.applied():
        raise RuntimeError("broken")
    assert all(torch.equal(tensor, own[name]) for name, tensor in network.state_dict().items())


def test_a_share_of_zero_is_the_network_itself(network):
    average = StartAverage(network, 0.0)
    changed(network)
    own = state(network)
    with average.applied():
        assert all(torch.equal(tensor, own[name]) for name, tensor in network.state_dict().items())
