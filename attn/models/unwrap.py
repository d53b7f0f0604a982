"""Removal of wrapper prefixes from tensor names of state dicts.

DataParallel adds the prefix `module.`, torch.compile `_orig_mod.`, Lightning the name of the attribute, and averages of
weights have prefixes of their own. Training checkpoints contain the state dict under a key, next to the optimiser's.
"""

import collections
import dataclasses
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Set

from torch import Tensor

from attn.errors import UsageError, some

log = logging.getLogger(__name__)

# Wrapped parts of a network have these in the middle of a name; no supported network has a layer of such a name.
_WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_LONGEST_WITHIN = 100  # maximum length of all wrappers in the middle of one name, in characters
_AVERAGE = re.compile(r"(?:^|[._])(?:ema|swa|averaged?)(?:[._]|$)")


@dataclasses.dataclass(frozen=True)
class Unwrapped:
    """Tensors of one network, without wrapper prefixes.

    Attributes:
        tensors: tensors under the names of the network.
        prefix: common prefix in the file; tensors without it are skipped.
        example: a name in the file and the name without wrappers; None if no name was changed.
        left_out: names of the skipped tensors.
    """

    tensors: dict[str, Tensor]
    prefix: str
    example: tuple[str, str] | None
    left_out: tuple[str, ...]

    def tell(self, url: str) -> None:
        """Log the removed prefix and the skipped tensors, if any."""
        if self.example is not None:
            others = f". Skipped: {some(self.left_out, 3)}" if self.left_out else ""
            log.info("%s: prefixes of wrappers are removed, e.g. %s is read as %s%s", url, *self.example, others)


def unwrap(url: str, tensors: Mapping[str, Tensor], expected: Set[str]) -> Unwrapped:
    """Find a network's tensors in a file: those under the prefix with the most matching names.

    If several prefixes match equally well, an average of the weights (EMA, SWA) is preferred, as in timm and
    torchvision.

    Args:
        url: URL of the file, for messages.
        tensors: tensors under their names in the file.
        expected: names of the network's tensors.

    Raises:
        UsageError: the file contains several such networks, or one network twice.
    """
    prefix = _prefix(url, tensors, expected)
    taken = {key: _WRAPPERS.sub("", key[len(prefix) :]) for key in tensors if key.startswith(prefix)}
    if len(set(taken.values())) < len(taken):
        twice, _ = collections.Counter(taken.values()).most_common(1)[0]
        raise UsageError(f"{url}: contains {twice} with and without a wrapper's prefix. Save only one state dict.")
    return Unwrapped(
        {name: tensors[key] for key, name in taken.items()},
        prefix,
        next(((key, name) for key, name in taken.items() if key != name and name in expected), None),
        tuple(key for key in tensors if key not in taken),
    )


def _prefix(url: str, names: Iterable[str], expected: Set[str]) -> str:
    """Prefix with the most matching names; empty if less than half of the network's names match."""
    longest = max(map(len, expected)) + _LONGEST_WITHIN
    found = collections.Counter(prefix for name in names for prefix in _prefixes(name, expected, longest))
    most = max(found.values(), default=0)
    if 2 * most < len(expected):
        return ""
    best = [prefix for prefix, count in found.items() if count == most]
    averages = [prefix for prefix in best if _AVERAGE.search(prefix)]
    if len(best) > 1 and len(averages) != 1:
        shown = ", ".join(prefix or "no prefix" for prefix in best)
        raise UsageError(f"{url}: contains {len(best)} networks, under {shown}. Save the state dict of only one.")
    return (averages if len(averages) == 1 else best)[0]


def _prefixes(name: str, expected: Set[str], longest: int) -> Iterator[str]:
    """Possible prefixes of a name: empty or ending in a dot, followed by one of the network's names."""
    for start in (0, *(dot.end() for dot in re.finditer(r"\.", name))):
        rest = name[start : start + longest + 1]
        if len(rest) <= longest and not _WRAPPERS.match(rest) and _WRAPPERS.sub("", rest) in expected:
            yield name[:start]
