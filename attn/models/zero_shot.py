"""Zero-shot classifiers: an image encoder of CLIP whose linear layer holds text embeddings of the class names.

    logits_c = e^s · cos(z, t_c) + b,   t_c = mean over prompts p of text(p(c)) / |text(p(c))|, of length 1

z is the image embedding, s and b are CLIP's logit scale and bias (0 except in SigLIP). The scale becomes part of the
weights, W_c = e^s · t_c, so the result is an ordinary network that can be fine-tuned.

Source: Radford et al. 2021, sections 3.1.2 and 3.1.4; Wortsman et al. 2022, section 3, for the scale in the weights.
"""

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from attn.errors import UsageError
from attn.models.backbone import build_backbone, network_input
from attn.models.checkpoint import Cnn
from attn.models.fit import check_names_and_shapes
from attn.models.open_clip_networks import checked_name, load_open_clip
from attn.models.tensors_file import check_finite
from attn.models.unwrap import unwrap
from attn.models.weights_file import WeightsFile

PROMPTS = tuple(
    f"a {medium} of {article} person {verb}{{}}."
    for verb, article, medium in itertools.product(
        ("", "using ", "doing ", "during ", "performing ", "practicing "),
        ("a", "the"),
        ("photo", "video", "example", "demonstration"),
    )
)
"""Prompts of CLIP's authors for the actions of UCF101; {} is the place of the class."""

RECORD = "zero_shot"
"""Key of the record of a checkpoint's texts and weights, in the record of its training."""

_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "position_ids", "attn_mask")
"""Last parts of names in published files that no network here has."""


@dataclasses.dataclass(frozen=True)
class ZeroShot:
    """Zero-shot classifier, and the text embeddings t_c of its classes."""

    cnn: Cnn
    embeddings: Float[Tensor, "cls dim"]


def zero_shot_classifier(
    name: str,
    file: WeightsFile,
    phrases: Mapping[str, str],
    prompts: Sequence[str],
    trained: Mapping[str, Any],
    *,
    device: str = "cpu",
) -> ZeroShot:
    """Make a zero-shot classifier.

    The cost is one pass of the text encoder per class and prompt.

    Args:
        name: `open_clip:<name>`, optionally with the tag of published weights.
        file: weights of the whole network, as open_clip publishes them.
        phrases: class name → phrase that takes its place in the prompts.
        prompts: prompts with {} in place of the class.
        trained: record of the training.
        device: device of the text encoder.

    Raises:
        UsageError: the network does not exist, its tokenizer cannot be opened, or the weights do not fit.
    """
    model = _loaded(name, file)
    embeddings = _text_embeddings(name, model.to(device), list(phrases.values()), prompts, device).cpu()
    backbone, own = build_backbone(name, len(phrases)).eval(), network_input(name)
    weights = {f"visual.{key}": tensor for key, tensor in model.visual.state_dict().items()}
    bias = torch.zeros(()) if getattr(model, "logit_bias", None) is None else model.logit_bias.detach().cpu()
    weights["classifier.weight"] = model.logit_scale.detach().exp().cpu() * embeddings
    weights["classifier.bias"] = bias.expand(len(phrases))
    backbone.import_weights(weights)
    cnn = Cnn(backbone, name, tuple(phrases), own.size, own.mean, own.std, trained, resampling=own.resampling)
    return ZeroShot(cnn, embeddings)


def _loaded(name: str, file: WeightsFile) -> Any:
    """Whole network of open_clip with the weights of a file, in float32 and eval mode."""
    open_clip = load_open_clip()
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    with _without_root_warnings(), torch.random.fork_rng(devices=[]):  # one warns of random weights
        model = _tried(name, "build it", open_clip.create_model, checked_name(name).model, pretrained_text=False)
    expected = model.state_dict()
    found = unwrap(file.url, file.tensors, expected.keys()).tensors
    found = {key: tensor for key, tensor in found.items() if key.rpartition(".")[2] not in _NOT_WEIGHTS}
    found = convert_state_dict(model, found)
    if "positional_embedding" in found and "positional_embedding" not in expected:
        found = convert_to_custom_text_state_dict(found)
    scalars = {key: found[key].reshape(expected[key].shape) for key in _scalars(found, expected)}
    found = {**found, **scalars}
    check_names_and_shapes(file.url, f"{file.url}: the weights do not fit {name}", found, expected)
    check_finite(file.url, found)
    model.load_state_dict(found)
    return model.eval()


def _scalars(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Names of single numbers, some of which have one axis in files and none in the network."""
    return [key for key, tensor in found.items() if key in expected and tensor.numel() == expected[key].numel() == 1]


def _text_embeddings(
    name: str, model: Any, phrases: Sequence[str], prompts: Sequence[str], device: str
) -> Float[Tensor, "cls dim"]:
    open_clip = load_open_clip()
    tokenizer = _tried(name, "open its tokenizer", open_clip.get_tokenizer, checked_name(name).model)
    # Functions, because a phrase may contain braces.
    templates = [lambda phrase, prompt=prompt: prompt.replace("{}", phrase) for prompt in prompts]
    return open_clip.build_zero_shot_classifier(model, tokenizer, phrases, templates, device=device).T.contiguous()


def _tried(name: str, deed: str, function: Any, *args: Any, **settings: Any) -> Any:
    """Result of a function of open_clip, which may need other packages or downloads."""
    try:
        return function(*args, **settings)
    except Exception as error:  # errors of transformers, of the hub, of its HTTP client
        why = " ".join(str(error).split())[:300] or type(error).__name__
        way_out = "Install or download what is missing, or give another --backbone"
        raise UsageError(f"{name}: open_clip cannot {deed}: {why}. {way_out}.") from error


@contextlib.contextmanager
def _without_root_warnings() -> Iterator[None]:
    """Drop messages that a library logs without a logger of its own."""
    root = logging.getLogger()

    def none(_: logging.LogRecord) -> bool:
        return False

    root.addFilter(none)
    try:
        yield
    finally:
        root.removeFilter(none)
