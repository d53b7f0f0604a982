"""Putting weights into a network: every tensor where it belongs, or one line that says which does not fit."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Set

from torch import Tensor

from attn.errors import UsageError, some
from attn.models.backbone import Backbone
from attn.models.tensors_file import check_finite
from attn.models.unwrap import Unwrapped, unwrap
from attn.models.weights_file import WeightsFile

# torchvision's published DenseNets still call `norm1` what was once `norm.1`.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
_BATCHES_SEEN = ".num_batches_tracked"


def import_fitting(net: Backbone, file: WeightsFile, *, may_draw: bool, must_draw: bool) -> bool:
    """Copies a file's weights into a network of random weights.

    Args:
        may_draw: keep the random classifier where the file has none or one with another number of outputs, and the
            random head where the file has none of it.
        must_draw: keep the random classifier in any case, since it was trained for other classes; needs `may_draw`.

    Returns:
        Whether anything was left random.

    Raises:
        UsageError: a tensor is missing, too many, or of another shape, or holds NaN or infinity.
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
            f"{file.url}: its classifier has {outputs} outputs, not {net.num_classes}; "
            "give the list of the classes it was trained with (--classes)"
        )
    kept = {key: tensor for key, tensor in tensors.items() if key not in drawn}
    holds_none = f"{file.url} holds no weights of {net.name}" + (f" under {found.prefix}" if found.prefix else "")
    _check(file.url, holds_none, kept, {key: value for key, value in expected.items() if key not in drawn}, head)
    check_finite(file.url, kept)
    net.import_weights(kept)
    found.tell(file.url)
    return bool(drawn)


def fitting_tensors(net: Backbone, file: WeightsFile) -> Unwrapped:
    """A file's tensors under the network's names, without the auxiliary classifiers of GoogLeNet's training.

    Raises:
        UsageError: the file holds several such networks.
    """
    tensors = {_OLD_DENSENET.sub(r"\1\2.", key): tensor for key, tensor in file.tensors.items()}
    found = unwrap(file.url, tensors, net.export_weights().keys())
    if net.name == "googlenet":
        kept = {key: tensor for key, tensor in found.tensors.items() if not key.startswith(("aux1.", "aux2."))}
        return dataclasses.replace(found, tensors=kept)
    return found


def _outputs(tensors: Mapping[str, Tensor], classifier: Iterable[str]) -> int | None:
    return next((len(tensors[key]) for key in classifier if key in tensors), None)


def _check(
    url: str, holds_none: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], head: Set[str]
) -> None:
    # Files older than PyTorch 0.4.1 do not count batches; the count matters to no backbone.
    missing = [key for key in expected if key not in found and not key.endswith(_BATCHES_SEEN)]
    unknown = [key for key in found if key not in expected]
    if not unknown and missing and head >= set(missing):
        raise UsageError(f"{url} has no {some(missing, 3)}: without its classifier a network can only start a training")
    if missing or unknown:
        faults = [f"{word} {some(keys, 3)}" for word, keys in (("no", missing), ("unknown", unknown)) if keys]
        raise UsageError(f"{holds_none}: {'; '.join(faults)}; name the right --backbone")
    for key, tensor in found.items():
        if tensor.shape != expected[key].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(expected[key].shape)}"
            raise UsageError(f"{holds_none}: {key} is {shapes}; name the right --backbone")
