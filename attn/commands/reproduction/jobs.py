"""Jobs that the steps of a reproduction call."""

from collections.abc import Callable
from typing import Any


def job(name: str) -> Callable[[Any], int]:
    """Return the function of a job by the name of its script."""
    from attn.commands.adapt_cnn import adapt_cnn
    from attn.commands.decode_frames import decode_frames
    from attn.commands.detect import detect
    from attn.commands.evaluate import evaluate
    from attn.commands.precompute import precompute
    from attn.commands.precompute_flow import precompute_flow
    from attn.commands.train_clip_cnn import train_clip_cnn
    from attn.commands.train_cnn import train_cnn
    from attn.commands.train_energynet import train_energynet
    from attn.commands.train_soft_attention import train_soft_attention
    from attn.commands.train_tsrnet import train_tsrnet

    return {
        "adapt_cnn": adapt_cnn,
        "decode_frames": decode_frames,
        "detect": detect,
        "evaluate": evaluate,
        "precompute": precompute,
        "precompute_flow": precompute_flow,
        "train_clip_cnn": train_clip_cnn,
        "train_cnn": train_cnn,
        "train_energynet": train_energynet,
        "train_soft_attention": train_soft_attention,
        "train_tsrnet": train_tsrnet,
    }[name]
