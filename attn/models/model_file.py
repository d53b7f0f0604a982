"""Model file: a CNN together with the method that scores videos with it, as one `.safetensors` file.

The file is a checkpoint of the CNN, so everything that takes a checkpoint takes it, and a store of its maps has the
fingerprint of a store of the CNN alone. The method is in its metadata; an EnergyNet's tensors have a prefix.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

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
        name, maps, window = said["name"], dict(said["maps"]), int(said["window"])
        if name not in METHODS or (name == "energynet") == (net is None):
            raise ValueError(f"the method {name!r}")
        videos, chosen = tuple(map(str, said["trained_on"])), dict(said["chosen"])
        return Model(cnn_of(file), name, maps, window, calibration, net, videos, chosen)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{url}: its method is not one of a model file ({error!r}). Write it again.") from error
