"""Opening of model files of any kind, as `evaluate` and `predict` use them.

A new kind is a loader and its line in `LOADERS`.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_type_hints

from attn.errors import UsageError
from attn.eval.calibration import Calibration
from attn.models.checkpoint import Cnn, cnn_of
from attn.models.clip_file import CLIP_CNN, TrainedClipCnn, clip_cnn_of
from attn.models.described_file import not_a
from attn.models.energynet_file import ENERGYNET, TrainedEnergyNet, energynet_of
from attn.models.model_file import Model, model_of
from attn.models.soft_attention_file import NOUN, SOFT_ATTENTION, soft_attention_of
from attn.models.tensors_file import TensorsFile, read_tensors
from attn.models.tsrnet_file import NOUN as TSRNET_NOUN
from attn.models.tsrnet_file import TSRNET, tsrnet_of
from attn.models.weights_file import CNN, TORCH_SAVE, read_weights_file, weights_of
from attn.schema import GRADCAM
from attn.stages.clip_scoring import ClipAverage
from attn.stages.scoring import Calibrated, CnnVote, EnergyNetScore, Scorer, cnn_scorer
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.soft_attention_scoring import SoftAttentionScore
from attn.stages.tsrnet_scoring import TsrnetScore
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.manifest import SCORE_FIELDS, STORE_FIELDS, Manifest

SUFFIX = ".safetensors"
_BEFORE = {"map_kind": GRADCAM}  # settings of model files from before they were recorded
MOST, MOST_FRAMES = 1 << 16, 1 << 22
"""Limits of the settings of a soft-attention LSTM, and of the frames of a batch of its windows."""


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model from a file, with everything needed to score videos with it.

    Attributes:
        kind: name of its kind.
        class_names: classes of its scores, in their order.
        scorer: method that computes its scores.
        fingerprint: fingerprint of the only store that it can score; None if other stores will do.
        settings: manifest fields that a store must share, in JSON types.
        trained_on: IDs of the labelled videos used in training or selection; results on them are biased upwards.
        cnn: CNN that computes the columns of the scorer; None if the file does not contain it.
        clips: network of clips that computes them in its place.
        method: name of the chosen method; None for a CNN that any method of `attn.methods.OF_CNN` may score.
    """

    kind: str
    class_names: tuple[str, ...]
    scorer: Scorer
    fingerprint: str | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    trained_on: tuple[str, ...] = ()
    cnn: Cnn | None = None
    method: str | None = None
    clips: TrainedClipCnn | None = None

    def unlike(self, manifest: Manifest) -> list[str]:
        """Names of the settings in which a store differs from those that the model can score."""
        return [name for name, value in manifest.of(self.settings).items() if self.settings[name] != value]


def open_model(url: str) -> TrainedModel:
    """Open a model file of any kind.

    Args:
        url: URL of the file, or of a folder with a file `<kind>.safetensors` in it; local or s3://.

    Raises:
        UsageError: no such file exists, its kind or format is unknown to this version, or it is damaged.
    """
    url = _file_at(url)
    if url.endswith(TORCH_SAVE):
        read_weights_file(url)  # for its own complaints
        raise _without_description(url)
    file = read_tensors(url)
    kind = _inferred(file) if file.kind is None else file.kind.name
    if kind not in LOADERS:
        since = "a newer version" if file.kind is None else f"version {file.kind.since}"
        raise UsageError(
            f"{shown(url)}: a model of kind {kind}, which attn knows since {since}. This version knows "
            f"{', '.join(LOADERS)}: use a newer one."
        )
    return LOADERS[kind](file)


def scorer_of(model: Model) -> Scorer:
    """Return the scorer of a CNN with a chosen method."""
    scorer = cnn_scorer(model.method, model.window) if model.energynet is None else EnergyNetScore(model.energynet.net)
    return scorer if model.calibration is None else Calibrated(scorer, Calibration.from_record(model.calibration))


def energynet_model(trained: TrainedEnergyNet) -> TrainedModel:
    """Return an EnergyNet as a model; the store that it needs has the fingerprint of its training maps.

    Raises:
        TypeError, ValueError: the record of the training is not one of `train_energynet`.
    """
    return TrainedModel(
        ENERGYNET.name,
        trained.class_names,
        EnergyNetScore(trained.net),
        fingerprint=trained.fingerprint,
        settings=_store_fields(trained.trained),
        trained_on=_learnt(trained.trained),
    )


def _learnt(trained: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, (*trained.get("train_videos", ()), *trained.get("held_out_videos", ()))))


def _cnn(file: TensorsFile) -> TrainedModel:
    """Load a checkpoint, which votes, or a model file of `choose`, which has a method."""
    weights = weights_of(file)
    if weights.described is None:
        raise _without_description(file.url)
    if weights.described.method is None:
        cnn = cnn_of(weights)
        made_by = {"weights_sha256": cnn.weights_sha256}
        return TrainedModel(CNN.name, cnn.class_names, CnnVote(), settings=made_by, cnn=cnn)
    model = model_of(weights)
    return TrainedModel(
        CNN.name,
        model.cnn.class_names,
        scorer_of(model),
        settings={name: model.maps.get(name, _BEFORE.get(name)) for name in SCORE_FIELDS},
        trained_on=model.trained_on,
        cnn=model.cnn,
        method=model.method,
    )


def _clip_cnn(file: TensorsFile) -> TrainedModel:
    """Load a network of clips, whose logits are in stores of precompute --clip."""
    trained = clip_cnn_of(file)
    return TrainedModel(
        CLIP_CNN.name,
        trained.class_names,
        ClipAverage(),
        settings={"weights_sha256": trained.sha256},
        trained_on=_learnt(trained.trained),
        method=CLIP_CNN.name,
        clips=trained,
    )


def _energynet(file: TensorsFile) -> TrainedModel:
    trained = energynet_of(file)
    try:
        return energynet_model(trained)
    except (TypeError, ValueError) as error:
        raise not_a("an EnergyNet", file.url, error) from error


def _soft_attention(file: TensorsFile) -> TrainedModel:
    trained = soft_attention_of(file)
    sizes = {"map_shape": list(trained.map_shape), "num_channels": trained.net.architecture.num_channels}
    try:
        config = _windows_and_aggregation(trained.trained.get("settings", {}))
        config.check(multi_label=trained.net.architecture.multi_label)
        return TrainedModel(
            SOFT_ATTENTION.name,
            trained.class_names,
            SoftAttentionScore(trained.net, config),
            fingerprint=trained.fingerprint,
            settings={**_store_fields(trained.trained), **sizes},
            trained_on=_learnt(trained.trained),
        )
    except (TypeError, ValueError, UsageError) as error:
        raise not_a(NOUN, file.url, error) from error


def _tsrnet(file: TensorsFile) -> TrainedModel:
    trained = tsrnet_of(file)
    try:
        return TrainedModel(
            TSRNET.name,
            trained.class_names,
            TsrnetScore(trained.net, trained.num_samples),
            settings={**_store_fields(trained.trained), "num_channels": trained.net.architecture.num_channels},
            trained_on=_learnt(trained.trained),
        )
    except (TypeError, ValueError) as error:
        raise not_a(TSRNET_NOUN, file.url, error) from error


def _windows_and_aggregation(settings: Mapping[str, Any]) -> SoftAttentionConfig:
    """Settings that decide how videos are scored; untrusted, because the file may come from another user.

    Raises:
        TypeError, ValueError: a setting is unknown, of another type, or would take unlimited memory.
    """
    config = SoftAttentionConfig(**settings)
    for name, kind in get_type_hints(SoftAttentionConfig).items():
        value, choices = getattr(config, name), get_args(kind)
        whole = kind is int or name == "last_steps"
        if whole and not (value is None or (type(value) is int and (name == "seed" or value <= MOST))):
            raise ValueError(f"{name} {value!r}")
        if isinstance(next(iter(choices), None), str) and value not in choices:
            raise ValueError(f"{name} {value!r}")
    if config.window_frames * config.batch > MOST_FRAMES:
        raise ValueError(f"{config.batch} windows of {config.window_frames} frames")
    return config


def _store_fields(trained: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the store of a training; empty if it was recorded by a version before they were.

    Raises:
        TypeError, ValueError: they are not of the types of a manifest.
    """
    fields = dict(trained.get(STORE_FIELDS, {}))
    kinds = {"backbone": str, "weights_sha256": str, "input_size": int, "mean": list, "std": list, "sampling": dict}
    for name, kind in kinds.items():
        if fields and name in fields and type(fields[name]) is not kind:
            raise ValueError(f"{name} {fields[name]!r}")
    sampling = list(fields.get("sampling", {"stride": 1}).values())
    if len(sampling) != 1 or type(sampling[0]) not in (int, float):
        raise ValueError(f"sampling {sampling!r}")
    return fields


LOADERS: dict[str, Callable[[TensorsFile], TrainedModel]] = {
    CNN.name: _cnn,
    ENERGYNET.name: _energynet,
    SOFT_ATTENTION.name: _soft_attention,
    TSRNET.name: _tsrnet,
    CLIP_CNN.name: _clip_cnn,
}
"""Kind → function that makes a model of a file that has been read."""


def _file_at(url: str) -> str:
    """URL of the model file, which may be in a folder, as trainings write it."""
    if url.endswith((SUFFIX, *TORCH_SAVE)):
        return url
    names = [f"{kind}{SUFFIX}" for kind in LOADERS]
    folder = Location.at(url)
    there = [name for name in names if (folder / name).exists()]
    with folder.errors():
        if not there and not folder.exists():
            raise FileNotFoundError
    if not there:
        raise UsageError(
            f"{shown(url)}: neither a model file nor a folder with {' or '.join(names)}. Give weights as {SUFFIX}."
        )
    if len(there) > 1:
        raise UsageError(f"{shown(url)}: contains {' and '.join(there)}. Name one of these files.")
    return join(url, there[0])


def _inferred(file: TensorsFile) -> str:
    """Kind of a file from before kinds existed: only an EnergyNet names the store of its maps."""
    try:
        said = json.loads(file.text or "")
    except ValueError:
        said = None
    return ENERGYNET.name if isinstance(said, dict) and "fingerprint" in said else CNN.name


def _without_description(url: str) -> UsageError:
    return UsageError(
        f"{shown(url)}: does not contain its architecture and classes. Give a checkpoint of train_cnn or adapt_cnn; "
        "both accept --backbone and --classes."
    )
