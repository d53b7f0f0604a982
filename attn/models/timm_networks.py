"""Networks of timm by name, `timm:<name>` or `timm:<name>.<tag>`: layers, input and published weights.

timm is an extra and takes seconds to import, so it is imported only if such a network is asked for.
"""

import difflib
from typing import Any

from torch import Tensor, nn

from attn.errors import UsageError
from attn.models.network_input import NetworkInput
from attn.models.torchvision_models import load_torchvision
from attn.video.transform import Resampling

PREFIX = "timm:"

_NEAREST = 3

# Settings that let a network take images of other sizes without a change of its weights, each for some of timm's
# classes. The others raise a TypeError.
_ANY_SIZE: tuple[dict[str, bool], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})


def is_timm(name: str) -> bool:
    """Return whether a backbone is one of timm's networks by its name; timm is not imported."""
    return name.startswith(PREFIX)


def create_timm(name: str, num_classes: int) -> nn.Module:
    """Build a network of timm with random weights.

    Networks whose weights allow it take images of any size: position embeddings are interpolated, windows padded.

    Args:
        name: `timm:<name>`, optionally with the tag of published weights, which decides the input.
        num_classes: number of outputs of the classifier.

    Raises:
        UsageError: timm is not installed, or has no network of this name.
    """
    return _created(_load_timm(), _checked(name), num_classes=num_classes)


def timm_input(name: str) -> NetworkInput:
    """Input of a network of timm, from its data configuration.

    Differs: timm rounds the size before cropping to whole pixels; here the crop is exact.

    Raises:
        UsageError: as `create_timm`; or the network does not take square RGB images.
    """
    timm, own = _load_timm(), _checked(name)
    config = timm.data.resolve_data_config(pretrained_cfg=_published(timm, own).to_dict())
    (channels, rows, cols), mode = config["input_size"], config["crop_mode"]
    if channels != 3 or rows != cols or mode not in ("center", "squash"):
        raise UsageError(
            f"{name}: takes {rows} × {cols} pixels of {channels} channels (crop mode {mode}), and only square RGB "
            "images without a border are supported. Give another --backbone."
        )
    try:
        resampling = Resampling(config["interpolation"], float(config["crop_pct"]), mode == "squash")
    except ValueError as error:
        raise UsageError(f"{name}: {error}. Give another --backbone.") from error
    return NetworkInput(rows, tuple(config["mean"]), tuple(config["std"]), resampling)


def published_weights(name: str) -> tuple[dict[str, Tensor], int, str]:
    """Published weights of a network under timm's names, the number of their classes, and their source.

    Download and conversion are timm's own.

    timm keeps downloads in the cache of Hugging Face's hub or of torch.

    Raises:
        UsageError: as `create_timm`; or weights do not exist or cannot be downloaded.
    """
    timm, own = _load_timm(), _checked(name)
    config = _published(timm, own)
    source = f"{config.hf_hub_id or config.url or config.file} ({config.tag or 'no tag'})"
    try:
        net = _created(timm, own, pretrained=True)
    except Exception as error:  # errors of the hub, of its HTTP client, of torch.hub, of timm
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise UsageError(
            f"imagenet: cannot load the weights of {name} from {source}: {why}. Download them on a machine with access "
            "and give the file with --weights."
        ) from error
    return net.state_dict(), config.num_classes, source


def _load_timm() -> Any:
    load_torchvision()  # timm imports it too, but with PyTorch's compiler
    try:
        import timm
        import timm.data
    except ModuleNotFoundError as error:
        raise UsageError(f"{PREFIX}…: timm is missing ({error}). Run pip install 'attn[timm]'.") from error
    return timm


def _checked(name: str) -> str:
    """timm's own name of a network; no name that makes timm load code or files from elsewhere."""
    timm, own = _load_timm(), name.removeprefix(PREFIX)
    known = timm.list_models(include_tags="." in own)
    if own not in known:
        nearest = ", ".join(PREFIX + each for each in difflib.get_close_matches(own, known, _NEAREST, 0))
        raise UsageError(f"{name}: timm {timm.__version__} has no such network. The nearest are {nearest}.")
    return own


def _published(timm: Any, name: str) -> Any:
    """timm's record of published weights; its defaults for a network without any."""
    return timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()


def _created(timm: Any, name: str, **settings: Any) -> nn.Module:
    for any_size in _ANY_SIZE[:-1]:
        try:
            return timm.create_model(name, **settings, **any_size)
        except TypeError:
            continue
    return timm.create_model(name, **settings)
