"""Putting weights into a network: every tensor where it belongs, or one line that says which does not fit."""

import re
from collections.abc import Iterable, Mapping, Set

from torch import Tensor

from attn.errors import UsageError
from attn.models.backbone import Backbone
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
        UsageError: a tensor is missing, too many, or of another shape.
    """
    tensors, expected = _renamed(net.name, file.tensors), net.export_weights()
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
    _check(file.url, net.name, kept, {key: value for key, value in expected.items() if key not in drawn}, head)
    net.import_weights(kept)
    return bool(drawn)


def _renamed(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the auxiliary classifiers that only GoogLeNet's training used; old names replaced."""
    if name == "googlenet":
        return {key: tensor for key, tensor in tensors.items() if not key.startswith(("aux1.", "aux2."))}
    return {_OLD_DENSENET.sub(r"\1\2.", key): tensor for key, tensor in tensors.items()}


def _outputs(tensors: Mapping[str, Tensor], classifier: Iterable[str]) -> int | None:
    return next((len(tensors[key]) for key in classifier if key in tensors), None)


def _check(url: str, name: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], head: Set[str]) -> None:
    # Files older than PyTorch 0.4.1 do not count batches; the count matters to no backbone.
    missing = [key for key in expected if key not in found and not key.endswith(_BATCHES_SEEN)]
    unknown = [key for key in found if key not in expected]
    if not unknown and missing and head >= set(missing):
        raise UsageError(f"{url} has no {_some(missing)}: without its classifier a network can only start a training")
    if missing or unknown:
        faults = [f"{word} {_some(keys)}" for word, keys in (("no", missing), ("unknown", unknown)) if keys]
        raise UsageError(f"{url} holds no weights of {name}: {'; '.join(faults)}; name the right --backbone")
    for key, tensor in found.items():
        if tensor.shape != expected[key].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(expected[key].shape)}"
            raise UsageError(f"{url} holds no weights of {name}: {key} is {shapes}; name the right --backbone")


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
