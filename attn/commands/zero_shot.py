"""zero_shot: make a classifier of class names with CLIP, as a checkpoint for all other jobs."""

import logging
import posixpath
import re
import time
from collections.abc import Sequence
from typing import Any

import torch

from attn.commands.zero_shot_options import ZeroShotOptions
from attn.concepts.words import divided, name_as_word
from attn.datasets.ucf101 import read_class_index
from attn.errors import UsageError, some
from attn.models.checkpoint import save_checkpoint
from attn.models.open_clip_networks import PREFIX, checked_name, is_open_clip, published_clip
from attn.models.weights_file import WeightsFile, read_weights_file
from attn.models.zero_shot import PROMPTS, RECORD, ZeroShot, zero_shot_classifier
from attn.storage.error_messages import shown
from attn.storage.location import Location
from attn.storage.writable import check_writable

log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
PLACE = "{}"


def zero_shot(options: ZeroShotOptions) -> int:
    """Write the checkpoint to `--out` and return the exit code.

    Raises:
        UsageError: flags, files or weights are invalid; nothing was written.
    """
    _check_flags(options)
    names = read_class_index(options.classes)
    phrases = {name: _phrase(name, options.classes) for name in names}
    prompts = PROMPTS if options.prompts is None else _prompts(options.prompts)
    file = _weights(options)
    settings = {"weights_sha256": file.sha256, "phrases": phrases, "prompts": list(prompts)}
    if _finished(options, settings):
        log.info("%s: already finished", shown(options.out))
        return 0
    trained = {"on": "image-text pairs", "source": shown(options.weights or options.backbone), RECORD: settings}
    device, start = "cuda" if torch.cuda.is_available() else "cpu", time.monotonic()
    log.info("%s: %d classes, %d prompts each", options.backbone, len(names), len(prompts))
    made = zero_shot_classifier(options.backbone, file, phrases, prompts, trained, device=device)
    if options.word_vectors is not None:
        _write_vectors(options.word_vectors, names, made)
    save_checkpoint(options.out, made.cnn)
    log.info("%s: written after %.0f s", shown(options.out), time.monotonic() - start)
    return 0


def _check_flags(options: ZeroShotOptions) -> None:
    if not options.out.endswith(SUFFIX):
        raise UsageError(f"{options.out}: not a checkpoint name. Give --out a name that ends in {SUFFIX}.")
    if not is_open_clip(options.backbone):
        raise UsageError(
            f"--backbone {options.backbone}: has no text encoder. Give {PREFIX}<name>, e.g. {PREFIX}ViT-B-32."
        )
    checked_name(options.backbone)
    for url in (options.out, options.word_vectors):
        if url is not None:
            check_writable(posixpath.dirname(url) or ".")


def _phrase(name: str, where: str) -> str:
    """Phrase that a class name becomes in the prompts."""
    phrase = " ".join(name.split()) if re.search(r"\s", name) else " ".join(divided(name))
    if not phrase:
        raise UsageError(f"{where}: the class {name!r} has no words. Rename it.")
    return phrase


def _prompts(url: str) -> Sequence[str]:
    found = [line.strip() for line in Location.at(url).read_text().splitlines() if line.strip()]
    if not found:
        raise UsageError(f"--prompts {shown(url)}: contains no prompt. Write one per line, with {PLACE} for the class.")
    if bare := [prompt for prompt in found if PLACE not in prompt]:
        raise UsageError(f"--prompts {shown(url)}: no {PLACE} for the class in {some(map(repr, bare), 2)}. Add it.")
    return found


def _weights(options: ZeroShotOptions) -> WeightsFile:
    return read_weights_file(options.weights or published_clip(options.backbone))


def _finished(options: ZeroShotOptions, settings: dict[str, Any]) -> bool:
    """Return whether `--out` is the result of the same inputs.

    Raises:
        UsageError: the file is something else.
    """
    if not Location.at(options.out).exists():
        return False
    described = read_weights_file(options.out).described
    same = described is not None and described.backbone == options.backbone
    if described is None or not same or described.trained.get(RECORD) != settings:
        raise UsageError(f"{shown(options.out)}: made of other inputs. Remove it or choose another --out.")
    return options.word_vectors is None or Location.at(options.word_vectors).exists()


def _write_vectors(url: str, names: Sequence[str], made: ZeroShot) -> None:
    """Write the text embeddings as word2vec text, with the name of a class as one word."""
    count, dim = made.embeddings.shape
    rows = zip(names, made.embeddings.tolist(), strict=True)
    lines = [f"{count} {dim}", *(f"{name_as_word(name)} {' '.join(map(repr, row))}" for name, row in rows)]
    Location.at(url).write_atomic(("\n".join(lines) + "\n").encode())
