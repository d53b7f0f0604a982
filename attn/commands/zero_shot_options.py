"""Flags of jobs/zero_shot.py."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ZeroShotOptions:
    backbone: str
    """Network of open_clip, open_clip:<name>. With the tag of published weights, these are downloaded:
    open_clip:ViT-B-32.laion2b_s34b_b79k."""
    classes: str
    """Class list, one name per line, or UCF101's classInd.txt. In prompts, WalkingWithDog becomes "walking with
    dog"; names with spaces stay as they are."""
    out: str
    """Checkpoint to write, a .safetensors file, local or s3://."""
    weights: str | None = None
    """Weights of the whole network in open_clip's layout, .safetensors, .bin, .pt or .pth (default: download those of
    the tag)."""
    prompts: str | None = None
    """Text file with one prompt per line, {} in place of the class (default: 48 prompts of CLIP's authors). They are
    about actions, such as "a photo of a person doing {}"."""
    word_vectors: str | None = None
    """Text file to write with the text embeddings, for train_energynet --aggregation name (default: none)."""
