"""How the weights of a CNN are changed: the numbers that the paper leaves open.

No torch: `attn.engine.options` makes flags of it.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """SGD and its rates."""

    lr: float = 1e-3
    """Learning rate of the pretrained layers."""
    head_lr: float = 1e-2
    """Learning rate of a newly drawn classifier, and of every layer when there are no start weights."""
    lr_decay_after: float = 2 / 3
    """Share of the updates after which both rates fall, 0 to 1; 1: never."""
    lr_decay: float = 0.1
    """What is left of them then, above 0 and up to 1."""
    momentum: float = 0.9
    """SGD momentum."""
    weight_decay: float = 5e-4
    """L2 penalty."""
