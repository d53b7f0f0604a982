"""RAFT: weights of files are checked, and pairs go in and flow comes out as for the other algorithms."""

import numpy as np
import pytest
import torch

from attn.errors import UsageError
from attn.models.raft import Raft, load_raft
from attn.models.torchvision_models import load_torchvision


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    """File of random weights of raft_small."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "small.pth"
    torch.save(load_torchvision().get_model("raft_small", weights=None).state_dict(), path)
    return str(path)


def test_flow_is_that_of_torchvision(weights: str) -> None:
    pairs = np.random.default_rng(0).integers(0, 256, (1, 2, 128, 128, 3), np.uint8)
    net, sha256 = load_raft("raft_small", weights)
    assert len(sha256) == 64
    found = Raft(net, device="cpu")(pairs)
    assert (found.shape, found.dtype) == ((1, 2, 128, 128), np.float32)
    prepare = load_torchvision().optical_flow.Raft_Small_Weights.C_T_V2.transforms()
    images = torch.from_numpy(pairs).permute(1, 0, 4, 2, 3)
    with torch.inference_mode():
        expected = net(*prepare(images[0], images[1]))[-1]
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-3, rtol=1e-3)
    assert expected.std() > 0.1, "random weights give some flow"


def test_weights_of_another_network_or_name_are_refused(weights: str) -> None:
    with pytest.raises(UsageError, match=r"small\.pth: not weights of raft_large \(Missing key"):
        load_raft("raft_large", weights)
    with pytest.raises(UsageError, match=r"^--weights C_T_V9: unknown\. Give a file, or one of C_T_V1, C_T_V2\.$"):
        load_raft("raft_small", "C_T_V9")
    with pytest.raises(UsageError, match="nowhere"):
        load_raft("raft_small", "/nowhere.pth")
