"""Model file: a CNN together with the method that scores videos with it, as one `.safetensors` file.

The file is a checkpoint of the CNN, so everything that takes a checkpoint takes it, and a store of its maps has the
fingerprint of a store of the CNN alone. The method is in its metadata; an EnergyNet's tensors have a prefix.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from attn.errors import UsageError
from attn.models.checkpoint import Cnn, cnn_of, save_checkpoint
from attn.models.energynet_file import TrainedEnergyNet, assemble, describe
from attn.models.tensors_file import check_finite
from attn.models.weights_file import description_of, read_weights_file

METHODS = ("cnn", "cnn_average", "unatt", "energynet")
"""Names of the scorers that a model file can have."""


@dataclasses.dataclass(frozen=True)
class Model:
    """CNN and method.

    Attributes:
        cnn: with the sha256 of its own checkpoint.
        method: one of `METHODS`.
        window: side of the energy window of UnAtt, in map cells.
        calibration: record of an `attn.eval.calibration.Calibration` of the scores; None for plain scores.
        energynet: for the method of that name.
        trained_on: ids of the labelled videos that decided the weights; a test on them would flatter.
        maps: settings of the stores that the method can score, by name, in JSON types.
        chosen: why this method, freely, in JSON types.
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
    """Writes a model file, local or s3://, whole or not at all. Returns its sha256.

    Raises:
        UsageError: another suffix, or the storage refuses.
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
    """Reads what `save_model` wrote.

    Raises:
        UsageError: not such a file, or damaged.
    """
    file = read_weights_file(url)
    said = description_of(file).method
    if said is None:
        raise UsageError(
            f"{url}: a checkpoint without a method. Name a model file of jobs/choose.py, or give --methods."
        )
    try:
        check_finite(url, file.method_tensors)
        net = None if said["energynet"] is None else assemble(url, file.method_tensors, dict(said["energynet"]))
        calibration = None if said["calibration"] is None else dict(said["calibration"])
        videos, chosen = tuple(map(str, said["trained_on"])), dict(said["chosen"])
        maps, window = dict(said["maps"]), said["window"]
        model = Model(cnn_of(file), said["name"], maps, window, calibration, net, videos, chosen)
        _check(model)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{url}: its method is not one of a model file ({error!r}). Write it again.") from error
    return model


def _check(model: Model) -> None:
    """Refuses a method that cannot score the maps which it names, or not of all classes.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: says what is wrong.
    """
    names, net, (rows, cols) = model.cnn.class_names, model.energynet, model.maps["map_shape"]
    if model.method not in METHODS or (model.method == "energynet") == (net is None):
        raise ValueError(f"the method {model.method!r}")
    if tuple(model.maps.get("class_names", names)) != names:
        raise ValueError("maps of other classes than the CNN's")
    if net is not None and (net.class_names, net.map_shape) != (names, (rows, cols)):
        raise ValueError("an EnergyNet of other classes or other maps")
    most = min(rows, cols) if model.method == "unatt" else math.inf
    if type(model.window) is not int or not 1 <= model.window <= most:
        raise ValueError(f"a window of {model.window!r} on maps of {rows}×{cols}")
    if model.calibration is not None:
        _check_calibration(model.calibration, len(names))


def _check_calibration(record: Mapping[str, Any], classes: int) -> None:
    mean, std = (np.array(record[name], np.float64) for name in ("mean", "std"))
    if not mean.shape == std.shape == (classes,):
        raise ValueError(f"a calibration of {mean.shape} means and {std.shape} deviations for {classes} classes")
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ValueError("a calibration whose means are not finite or whose deviations are not above 0")
    if type(record["videos"]) is not int or record["videos"] < 1:
        raise ValueError(f"a calibration by {record['videos']!r} videos")
