"""Model file: a CNN together with the method that scores videos with it, as one `.safetensors` file.

The file is also a checkpoint of the CNN: it is accepted wherever a checkpoint is, and stores of its maps have the same
fingerprint as with the CNN's own checkpoint. The method is in the metadata; an EnergyNet's tensors have a prefix.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from attn.errors import UsageError
from attn.methods import IN_MODEL_FILE
from attn.models.checkpoint import Cnn, cnn_of, save_checkpoint
from attn.models.energynet_file import TrainedEnergyNet, assemble, describe
from attn.models.tensors_file import check_finite
from attn.models.weights_file import WeightsFile, description_of, read_weights_file


@dataclasses.dataclass(frozen=True)
class Model:
    """A CNN and a scoring method.

    Attributes:
        cnn: CNN with the SHA-256 of its own checkpoint.
        method: one of `attn.methods.IN_MODEL_FILE`.
        maps: settings of the stores that the method can score, by name, in JSON types.
        window: side of UnAtt's energy window, in map cells.
        calibration: record of an `attn.eval.calibration.Calibration` of the scores; None for uncalibrated scores.
        energynet: trained EnergyNet, for the method of that name.
        trained_on: IDs of the labelled videos used in training or selection; results on them are biased upwards.
        chosen: free-form record of how the method was chosen, in JSON types.
    """

    cnn: Cnn
    method: str
    maps: Mapping[str, Any]
    window: int = 3
    calibration: Mapping[str, Any] | None = None
    energynet: TrainedEnergyNet | None = None
    trained_on: tuple[str, ...] = ()
    chosen: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def save_model(url: str, model: Model) -> str:
    """Write a model file, local or s3://, atomically. Returns its SHA-256.

    Raises:
        UsageError: the suffix is not `.safetensors`, or the storage returns an error.
    """
    net = model.energynet
    method = {
        "name": model.method,
        "maps": dict(model.maps),
        "window": model.window,
        "calibration": model.calibration,
        "energynet": None if net is None else describe(net),
        "cnn_sha256": model.cnn.weights_sha256,
        "trained_on": model.trained_on,
        "chosen": dict(model.chosen),
    }
    return save_checkpoint(url, model.cnn, method=method, method_tensors={} if net is None else net.net.state_dict())


def load_model(url: str) -> Model:
    """Load a model file that `save_model` wrote.

    Raises:
        UsageError: the file is not a model file, or is damaged.
    """
    return model_of(read_weights_file(url))


def model_of(file: WeightsFile) -> Model:
    """Model from a file that has been read; raises UsageError as `load_model`."""
    url, method = file.url, description_of(file).method
    if method is None:
        raise UsageError(f"{url}: a checkpoint without a method. Give a model file from jobs/choose.py, or --methods.")
    try:
        check_finite(url, file.method_tensors)
        net = None if method["energynet"] is None else assemble(url, file.method_tensors, dict(method["energynet"]))
        calibration = None if method["calibration"] is None else dict(method["calibration"])
        videos, chosen = tuple(map(str, method["trained_on"])), dict(method["chosen"])
        maps, window = dict(method["maps"]), method["window"]
        model = Model(cnn_of(file), method["name"], maps, window, calibration, net, videos, chosen)
        _check(model)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{url}: invalid method of a model file ({error!r}). Write the file again.") from error
    return model


def _check(model: Model) -> None:
    """Check that the method can score maps with the given settings, for all classes of the CNN.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: a setting is missing or invalid.
    """
    names, net, (rows, cols) = model.cnn.class_names, model.energynet, model.maps["map_shape"]
    if model.method not in IN_MODEL_FILE or (model.method == "energynet") == (net is None):
        raise ValueError(f"method {model.method!r}")
    if tuple(model.maps.get("class_names", names)) != names:
        raise ValueError("the classes of the maps differ from the CNN's")
    if net is not None and (net.class_names, net.map_shape) != (names, (rows, cols)):
        raise ValueError("the EnergyNet's classes or map shape differ from the CNN's")
    most = min(rows, cols) if model.method == "unatt" else math.inf
    if type(model.window) is not int or not 1 <= model.window <= most:
        raise ValueError(f"a window of {model.window!r} on maps of {rows}×{cols}")
    if model.calibration is not None:
        _check_calibration(model.calibration, len(names))


def _check_calibration(record: Mapping[str, Any], classes: int) -> None:
    mean, std = (np.array(record[name], np.float64) for name in ("mean", "std"))
    if not mean.shape == std.shape == (classes,):
        raise ValueError(f"calibration means have shape {mean.shape} and stds {std.shape}, not ({classes},)")
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ValueError("calibration means must be finite, and standard deviations finite and above 0")
    if type(record["videos"]) is not int or record["videos"] < 1:
        raise ValueError(f"a calibration on {record['videos']!r} videos")
