"""Predefined search spaces. A custom file (`--space mine.json`) has the same form.

The ranges include the defaults and the paper's values (m = 1, β = 0.5, lr = 1e-4) and extend about a decade to either
side. A search tries the defaults first, with the changes given by its flags.
"""

from attn.training.search_space import Choice, Range, Space

MARGINS: Space = {
    "energy_margin": Range(0.1, 10, log=True),
    "triplet_margin": Range(0.1, 1.5),
    "triplet_weight": Range(0.03, 10, log=True),
}

MINING: Space = {
    "candidates_initial": Choice((64, 128, 256, 512)),
    "candidates_final": Choice((128, 256, 512, 1024)),
    "num_hard": Choice((16, 32, 64, 128, 256)),
    "num_random": Choice((0, 8, 32, 64)),
    "switch_threshold": Range(0.05, 1, log=True),
}

NETWORK: Space = {
    "embedding_dim": Choice((16, 32, 64, 128, 256)),
    "hidden_dim": Choice((32, 64, 128, 256)),
    "lr": Range(1e-5, 1e-2, log=True),
}

ATTENTION: Space = {
    "attention": Choice(("additive", "hidden", "linear")),
    "attention_layers": Choice((1, 2, 3)),
    "attention_penalty": Range(0, 10),
}

LSTM: Space = {
    "hidden_dim": Choice((128, 256, 512, 1024)),
    "lstm_layers": Choice((1, 2, 3)),
    "dropout": Range(0, 0.8),
    "lr": Range(1e-5, 1e-2, log=True),
}

TIME: Space = {
    "attention": Choice(("softmax", "sigmoid")),
    "attention_dim": Choice((64, 128, 256, 512)),
    "smoothness": Range(0.01, 10000, log=True),
    "sparsity": Range(1e-6, 1e-2, log=True),
    "transfer": Range(0.1, 10, log=True),
}

TSRNET: Space = {
    "hidden_dim": Choice((128, 256, 512, 1024)),
    "dropout": Range(0, 0.8),
    "lr": Range(1e-5, 1e-1, log=True),
}

SPACES: dict[str, dict[str, Space]] = {
    "energynet": {
        "all": {**MARGINS, **MINING, **NETWORK},
        "margins": MARGINS,
        "mining": MINING,
        "network": NETWORK,
    },
    "soft_attention": {"all": {**ATTENTION, **LSTM}, "attention": ATTENTION, "network": LSTM},
    "tsrnet": {"all": {**TIME, **TSRNET}, "attention": TIME, "network": TSRNET},
}
"""Spaces by model and name."""
