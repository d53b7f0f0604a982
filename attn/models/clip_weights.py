"""Initial weights of clip backbones: those of Kinetics-400, as distributed with torchvision, or a file."""

from attn.errors import UsageError
from attn.models.imagenet import downloaded
from attn.models.torchvision_models import load_torchvision
from attn.models.weights_file import WeightsFile, read_weights_file

KINETICS = "kinetics"


def read_clip_weights(url: str, backbone: str) -> WeightsFile:
    """Weights of a backbone under torchvision's names.

    Args:
        url: URL of a file, or `kinetics` for torchvision's weights, which are downloaded once.
        backbone: name of the backbone.

    Raises:
        UsageError: torchvision has no weights of it, the download fails, or the file is not a weights file.
    """
    if url != KINETICS:
        return read_weights_file(url)
    if backbone == "small_clip_cnn":
        raise UsageError(f"{KINETICS}: torchvision has no weights for {backbone}. Leave out --weights.")
    return read_weights_file(str(downloaded(load_torchvision().get_model_weights(backbone).DEFAULT.url, KINETICS)))
