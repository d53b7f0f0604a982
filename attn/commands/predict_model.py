"""Model of a prediction: a file that contains a CNN, or a model and the CNN that it needs."""

import dataclasses

from attn.commands.predict_options import PredictOptions
from attn.errors import UsageError, some
from attn.models.checkpoint import load_weights
from attn.models.clip_file import CLIP_CNN
from attn.models.weights_file import TORCH_SAVE
from attn.schema import OF_CLASSES
from attn.stages.open_model import TrainedModel, open_model
from attn.storage.error_messages import shown
from attn.storage.manifest import Manifest

IMAGENET = "imagenet"


@dataclasses.dataclass(frozen=True)
class PredictionModel:
    """Model with the CNN that computes the columns of its scorer.

    Attributes:
        url: URL of the model.
        cnn_url: URL of the file with the CNN; the same for a single file.
        model: the model; its `cnn` is that of `cnn_url`.
    """

    url: str
    cnn_url: str
    model: TrainedModel

    def check_fits(self, manifest: Manifest) -> None:
        """Check that the model can score what its CNN computes.

        Args:
            manifest: manifest of the store that precompute would write with this CNN and these flags.

        Raises:
            UsageError: the model was trained or chosen with another CNN or other settings.
        """
        other = self.model.unlike(manifest)
        if not other:
            return
        if self.url == self.cnn_url:
            raise UsageError(
                f"{shown(self.url)}: its method was chosen on maps of another {', '.join(other)}. Run choose again."
            )
        if other == ["sampling"]:
            ((flag, value),) = self.model.settings["sampling"].items()
            raise UsageError(
                f"{shown(self.url)}: was trained on frames sampled in another way. Give --{flag} {value:g}."
            )
        raise UsageError(
            f"{shown(self.url)}: was trained on what a CNN of another {', '.join(other)} computes. Give the CNN of its "
            f"store in place of {shown(self.cnn_url)}."
        )


def open_prediction_model(options: PredictOptions) -> PredictionModel:
    """Open the files of `--model`.

    Raises:
        UsageError: a file is invalid, or they are not one model with its CNN.
    """
    if not options.model:
        raise UsageError("--model: empty. Give a model file, or a model and the checkpoint of its CNN.")
    plain = [url for url in options.model if url == IMAGENET or url.endswith(TORCH_SAVE)]
    models = {url: open_model(url) for url in options.model if url not in plain or len(options.model) == 1}
    if of_clips := [url for url, model in models.items() if model.kind == CLIP_CNN.name]:
        raise UsageError(
            f"{shown(of_clips[0])}: a network of clips, but predict samples frames. Run precompute --clip with it, and "
            "evaluate its store."
        )
    if len(plain) == len(models) == 1:
        return _with_plain_weights(plain[0], *models.items())
    cnns = [url for url, model in models.items() if model.cnn is not None or model.clips is not None]
    others = [url for url in models if url not in cnns]
    if len(cnns) > 1 or len(others) > 1:
        several = cnns if len(cnns) > 1 else others
        kinds = "CNNs" if len(cnns) > 1 else "models without a CNN"
        raise UsageError(f"--model: several {kinds} ({some(map(shown, several))}). Give one model with its CNN.")
    if not cnns:
        (url,) = others
        raise UsageError(
            f"{shown(url)}: a model of kind {models[url].kind}, without the CNN that it needs. Give --model "
            f"{shown(url)} and the checkpoint of its CNN, or a model file of choose."
        )
    (cnn_url,) = cnns
    if not others:
        return PredictionModel(cnn_url, cnn_url, models[cnn_url])
    (url,), cnn = others, models[cnn_url]
    if cnn.method is not None:
        raise UsageError(f"{shown(cnn_url)}: has its own method. Leave out {shown(url)}, or give a plain checkpoint.")
    _check_recorded(url, models[url])
    return PredictionModel(url, cnn_url, dataclasses.replace(models[url], cnn=cnn.cnn, method=models[url].kind))


def _with_plain_weights(cnn_url: str, opened: tuple[str, TrainedModel]) -> PredictionModel:
    """Model with a CNN from weights that do not describe their network, which the model's store does."""
    url, model = opened
    if model.cnn is not None:
        raise UsageError(f"{shown(url)}: contains a CNN. Leave out {shown(cnn_url)}.")
    _check_recorded(url, model)
    cnn = load_weights(
        cnn_url,
        *(model.settings["backbone"], None, tuple(model.settings["mean"]), tuple(model.settings["std"])),
        model.settings["input_size"],
        new_classifier=not OF_CLASSES & {*model.scorer.columns},
    )
    return PredictionModel(url, cnn_url, dataclasses.replace(model, cnn=cnn, method=model.kind))


def _check_recorded(url: str, model: TrainedModel) -> None:
    if "weights_sha256" not in model.settings:
        raise UsageError(f"{shown(url)}: does not say which CNN it needs, because it is too old. Train it again.")
