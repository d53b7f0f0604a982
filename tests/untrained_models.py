"""Untrained networks as model files, for the stores of a manifest."""

import dataclasses

import torch

from attn.models.energynet import EnergyNet
from attn.models.energynet_file import TrainedEnergyNet, save_energynet
from attn.models.soft_attention_file import TrainedSoftAttention, save_soft_attention
from attn.models.tsrnet import Architecture, Tsrnet
from attn.models.tsrnet_file import TrainedTsrnet, save_tsrnet
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.storage.manifest import FEATURE_FIELDS, GRID_FIELDS, SCORE_FIELDS
from attn.training.soft_attention_training import new_net


def untrained(kind, manifest, folder):
    """URL of a folder with an untrained network for the stores of a manifest."""
    shape, names, fingerprint = manifest.map_shape, manifest.class_names, "abcdef0123456789"
    torch.manual_seed(0)
    if kind == "energynet":
        net = EnergyNet(torch.randn(len(names), 5), shape, hidden_dim=7, embedding_dim=6)
        trained = {"store": manifest.of(SCORE_FIELDS)}
        save_energynet(folder, TrainedEnergyNet(net, names, shape, fingerprint, trained))
        return folder
    if kind == "tsrnet":
        tsrnet = Tsrnet(Architecture(2, manifest.num_channels, attention_dim=5, hidden_dim=6)).eval()
        trained = {"store": manifest.of(FEATURE_FIELDS)}
        save_tsrnet(folder, TrainedTsrnet(tsrnet, ("Run", "Jump"), 4, manifest.backbone, fingerprint, trained))
        return folder
    config = SoftAttentionConfig(hidden_dim=6, window_frames=4)
    net = new_net(config, num_classes=2, num_channels=manifest.num_channels, num_cells=shape[0] * shape[1])
    trained = {"store": manifest.of(GRID_FIELDS), "settings": dataclasses.asdict(config)}
    save_soft_attention(
        folder, TrainedSoftAttention(net, ("Run", "Jump"), shape, manifest.backbone, fingerprint, trained)
    )
    return folder
