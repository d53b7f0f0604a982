"""Image encoders of open_clip by name, `open_clip:<name>` or `open_clip:<name>.<tag>`: layers, input, weights.

open_clip is an extra and takes seconds to import, so it is imported only if such a network is asked for.
"""

import difflib
from typing import Any, NamedTuple

from attn.errors import UsageError, some
from attn.models.clip_split import ClipNet
from attn.models.network_input import NetworkInput
from attn.models.torchvision_models import load_torchvision
from attn.video.transform import Resampling

PREFIX = "open_clip:"

_NEAREST = 3


class ClipName(NamedTuple):
    """Name of a network, in open_clip's own words.

    Attributes:
        model: name of the architecture.
        tag: tag of published weights; empty if the name has none.
    """

    model: str
    tag: str


def is_open_clip(name: str) -> bool:
    """Return whether a backbone is one of open_clip's networks by its name; open_clip is not imported."""
    return name.startswith(PREFIX)


def load_open_clip() -> Any:
    """Return `open_clip`, imported on the first call.

    Raises:
        UsageError: it is not installed.
    """
    load_torchvision()  # open_clip imports it too, but with PyTorch's compiler
    try:
        import open_clip
    except ModuleNotFoundError as error:
        raise UsageError(f"{PREFIX}…: open_clip is missing ({error}). Run pip install 'attn[clip]'.") from error
    return open_clip


def checked_name(name: str) -> ClipName:
    """open_clip's own words for a network; no name that makes open_clip load files from elsewhere.

    Raises:
        UsageError: open_clip is not installed, or has no network or weights of this name; or the weights were trained
            with another activation function than the network has.
    """
    open_clip = load_open_clip()
    model, _, tag = name.removeprefix(PREFIX).partition(".")
    known = open_clip.list_models()
    if model not in known:
        nearest = ", ".join(PREFIX + each for each in difflib.get_close_matches(model, known, _NEAREST, 0))
        raise UsageError(f"{name}: open_clip {open_clip.__version__} has no such network. The nearest are {nearest}.")
    if tag:
        _check_tag(name, model, tag)
    return ClipName(model, tag)


def create_clip(name: str, num_classes: int) -> ClipNet:
    """Build an image encoder of open_clip with a classifier, both with random weights.

    Only the image encoder is built: text encoders are large, and some need further packages.

    Args:
        name: `open_clip:<name>`, optionally with the tag of published weights.
        num_classes: number of outputs of the classifier.

    Raises:
        UsageError: as `checked_name`.
    """
    config = load_open_clip().get_model_config(checked_name(name).model)
    from open_clip.model import CLIPVisionCfg, _build_vision_tower

    vision = CLIPVisionCfg(**{**config["vision_cfg"], "timm_model_pretrained": False})
    visual = _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))
    return ClipNet(visual, config["embed_dim"], num_classes)


def clip_input(name: str) -> NetworkInput:
    """Input of a network of open_clip, from its configuration and that of the tag's weights.

    Without a tag it is that of all published weights of the network if they agree, otherwise open_clip's default.

    Raises:
        UsageError: as `checked_name`; or the network does not take square images.
    """
    open_clip, (model, tag) = load_open_clip(), checked_name(name)
    size = open_clip.get_model_config(model)["vision_cfg"].get("image_size", 224)
    rows, cols = size if isinstance(size, list | tuple) else (size, size)
    prepared = _prepared(open_clip, model, tag)
    if rows != cols or prepared.resize_mode not in ("shortest", "squash"):
        raise UsageError(
            f"{name}: takes {rows} × {cols} pixels (resize mode {prepared.resize_mode}), and only square images "
            "without a border are supported. Give another --backbone."
        )
    interpolation = "bilinear" if prepared.interpolation == "bilinear" else "bicubic"  # as open_clip does
    resampling = Resampling(interpolation, squash=prepared.resize_mode == "squash")
    return NetworkInput(rows, tuple(prepared.mean), tuple(prepared.std), resampling)


def published_clip(name: str) -> str:
    """Path of the published weights of a tag, downloaded once by open_clip's own code.

    Raises:
        UsageError: as `checked_name`; or the name has no tag, or the weights cannot be downloaded.
    """
    open_clip, (model, tag) = load_open_clip(), checked_name(name)
    if not tag:
        tags = open_clip.list_pretrained_tags_by_model(model)
        weights = f"Add the tag of published weights to the name ({some(tags, 3)})" if tags else "None are published"
        raise UsageError(f"{name}: the weights are not given. {weights}, or give a file with --weights.")
    try:
        return str(open_clip.download_pretrained(open_clip.get_pretrained_cfg(model, tag)))
    except Exception as error:  # errors of the hub, of its HTTP client, of urllib
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise UsageError(
            f"{name}: cannot download its weights: {why}. Download them on a machine with access and give the file "
            "with --weights."
        ) from error


def _check_tag(name: str, model: str, tag: str) -> None:
    open_clip = load_open_clip()
    found = open_clip.get_pretrained_cfg(model, tag)
    if not found:
        tags = open_clip.list_pretrained_tags_by_model(model)
        nearest = difflib.get_close_matches(tag, tags, _NEAREST, 0)
        known = (
            f"The nearest are {', '.join(f'{PREFIX}{model}.{one}' for one in nearest)}" if nearest else "It has none"
        )
        raise UsageError(f"{name}: open_clip {open_clip.__version__} has no such weights. {known}.")
    if found.get("quick_gelu") and not open_clip.get_model_config(model).get("quick_gelu"):
        raise UsageError(
            f"{name}: these weights were trained with another activation function (QuickGELU). Give "
            f"{PREFIX}{model}-quickgelu.{tag}."
        )


def _prepared(open_clip: Any, model: str, tag: str) -> Any:
    """open_clip's record of the preprocessing."""
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    tags = [tag] if tag else open_clip.list_pretrained_tags_by_model(model)
    default = PreprocessCfg()
    found = [merge_preprocess_dict(default, open_clip.get_pretrained_cfg(model, each)) for each in tags]
    agreed = bool(found) and all(each == found[0] for each in found)
    return PreprocessCfg(**found[0]) if agreed else default
