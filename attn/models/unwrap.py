"""Names of tensors as a network has them, whatever was wrapped around it when its weights were saved.

DataParallel puts `module.` in front, torch.compile `_orig_mod.`, Lightning the attribute's name, an average of the
weights its own; a training's checkpoint keeps the state dict under a key, beside its optimiser.
"""

import collections
import dataclasses
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Set

from torch import Tensor

from attn.errors import UsageError, some

log = logging.getLogger(__name__)

# Wrapped parts of a network have these in the middle of a name; no network here has a layer called so.
_WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_LONGEST_WITHIN = 100  # of wrappers in the middle of one name, in characters
_AVERAGE = re.compile(r"(?:^|[._])(?:ema|swa|averaged?)(?:[._]|$)")


@dataclasses.dataclass(frozen=True)
class Unwrapped:
    """The tensors of one network.

    Attributes:
        tensors: under the names of the network.
        prefix: before their names in the file; other tensors are left out unless it is empty.
        example: a name of the file, and the same as it is read; None if nothing was taken off.
        left_out: names of the file's other tensors.
    """

    tensors: dict[str, Tensor]
    prefix: str
    example: tuple[str, str] | None
    left_out: tuple[str, ...]

    def tell(self, url: str) -> None:
        """Logs what was taken off and left out, if anything was."""
        if self.example is not None:
            others = f"; {some(self.left_out, 3)}: left out" if self.left_out else ""
            log.info("%s: %s is read as %s, and all others likewise%s", url, *self.example, others)


def unwrap(url: str, tensors: Mapping[str, Tensor], expected: Set[str]) -> Unwrapped:
    """Finds the network in a file: the tensors behind the prefix that makes the most names those of the network.

    If two networks fit alike, an average of the weights is taken, as timm and torchvision do.

    Args:
        url: of the file, for messages.
        tensors: under the names that the file gives them.
        expected: names of the network's tensors.

    Raises:
        UsageError: the file holds several such networks, or one twice.
    """
    prefix = _prefix(url, tensors, expected)
    taken = {key: _WRAPPERS.sub("", key[len(prefix) :]) for key in tensors if key.startswith(prefix)}
    if len(set(taken.values())) < len(taken):
        twice, _ = collections.Counter(taken.values()).most_common(1)[0]
        raise UsageError(f"{url} holds {twice} with and without what wraps it; save one state dict alone")
    return Unwrapped(
        {name: tensors[key] for key, name in taken.items()},
        prefix,
        next(((key, name) for key, name in taken.items() if key != name and name in expected), None),
        tuple(key for key in tensors if key not in taken),
    )


def _prefix(url: str, names: Iterable[str], expected: Set[str]) -> str:
    """Nothing unless most names of the network stand behind it: then the file is of another network."""
    longest = max(map(len, expected)) + _LONGEST_WITHIN
    found = collections.Counter(prefix for name in names for prefix in _prefixes(name, expected, longest))
    most = max(found.values(), default=0)
    if 2 * most < len(expected):
        return ""
    best = [prefix for prefix, count in found.items() if count == most]
    averages = [prefix for prefix in best if _AVERAGE.search(prefix)]
    if len(best) > 1 and len(averages) != 1:
        shown = ", ".join(prefix or "no prefix" for prefix in best)
        raise UsageError(f"{url} holds {len(best)} networks, under {shown}; save the state dict of one alone")
    return (averages if len(averages) == 1 else best)[0]


def _prefixes(name: str, expected: Set[str], longest: int) -> Iterator[str]:
    """All that may stand before one of the network's names, up to a dot, with every wrapper that ends there."""
    for start in (0, *(dot.end() for dot in re.finditer(r"\.", name))):
        rest = name[start : start + longest + 1]
        if len(rest) <= longest and not _WRAPPERS.match(rest) and _WRAPPERS.sub("", rest) in expected:
            yield name[:start]
