"""Last line of a job: where its output is, and the command that comes next. And if it was interrupted: how to go on."""

import dataclasses
import shlex
from collections.abc import Collection
from typing import Any

RESUME = "interrupted; run the same command to resume"
AGAIN = "interrupted; run the same command to start again"

_CNN = "{out}; next: python jobs/precompute.py --videos VIDEOS --weights {out} --out STORE"
_OF_STORE = "{out}; next: python jobs/evaluate.py --store {store} --split LIST --model {out} --out RESULTS"
_LAST_LINES = {
    "AdaptOptions": _CNN,
    "TrainCnnOptions": "{out}; next: python jobs/precompute.py {source} --weights {out} --out STORE",
    "PrecomputeOptions": "{out}; next: {reader}",
    "SearchOptions": "{out}; next: python jobs/train_energynet.py --config {out}/best.json --store {store} "
    "--split {split} --out ENERGYNET",
    "SearchSoftAttentionOptions": "{out}; next: python jobs/train_soft_attention.py --config {out}/best.json "
    "--store {store} --split {split} --out SOFT_ATTENTION",
    "SearchTsrnetOptions": "{out}; next: python jobs/train_tsrnet.py --config {out}/best.json --store {store} "
    "--labels {labels} --out TSRNET",
    "TrainEnergyNetOptions": _OF_STORE,
    "TrainSoftAttentionOptions": _OF_STORE,
    "TrainTsrnetOptions": "{out}; next: python jobs/detect.py --store {store} --model {out} --out DETECTIONS",
    "VideoLabelsOptions": "{out}; next: python jobs/train_tsrnet.py --store STORE --labels {out} --out TSRNET",
    "DetectOptions": "{out}; next: python jobs/evaluate_detection.py --detections {out}/detections.json "
    "--annotations ANNOTATION --out RESULTS",
    "TrainClipCnnOptions": "{out}; next: python jobs/precompute.py --videos VIDEOS --weights {out} "
    "--clip {length} {step} --columns logits attention --out CLIPS",
    "ZeroShotOptions": _CNN,
    "PrecomputeFlowOptions": "{out}; next: python jobs/train_cnn.py --modality flow --flow {out} --backbone resnet50 "
    "--split LIST --out CNN.safetensors",
    "ChooseOptions": "{out}/model.safetensors; next: python jobs/predict.py --videos VIDEOS "
    "--model {out}/model.safetensors --out PREDICTIONS",
    "EvaluateOptions": "{out}; next: python jobs/report.py --runs {out} --out {out}/report.html",
    "EvaluateDetectionOptions": "{out}/detection.md and detection.json",
    "PredictOptions": "{out}; next: python jobs/predict.py --videos {videos} --model {model} --out {out}{sampling} "
    "--overlays",
    "PackOptions": "{out}; next: python jobs/precompute.py --videos {out} --weights CNN --out STORE",
    "ImportFeaturesOptions": "{out}; next: python jobs/train_soft_attention.py --store {out}/store "
    "--split {out}/train.csv --out SOFT_ATTENTION",
    "ExportOptions": "{out}",
    "ReportOptions": "{out}; open it in a browser",
}
"""Type of options → last line, with fields of the options in braces. Other jobs write their own."""
_OF_CLIPS = "{out}; next: python jobs/evaluate.py --store {out} --split LIST --model {weights} --out RESULTS"
_OF_TEACHER = (
    "{out}; next: python jobs/train_clip_cnn.py --modality rgb --frames FRAMES --flow {flow} --teacher {out} "
    "--split {split} --backbone {backbone} --length {length} --step {step} --out STUDENT"
)
_NOT_RESUMED = (
    *("DetectOptions", "EvaluateOptions", "EvaluateDetectionOptions", "ExploreOptions", "ExportOptions"),
    *("ImportFeaturesOptions", "JoinClipsOptions", "ReportOptions", "VerifyOptions", "VideoLabelsOptions"),
    "ZeroShotOptions",
)
_READERS = (
    ({"maps", "logits"}, "python jobs/evaluate.py --store {out} --split LIST --out RESULTS"),
    ({"logits"}, "python jobs/evaluate.py --store {out} --split LIST --methods cnn --out RESULTS"),
    ({"maps"}, "python jobs/evaluate.py --store {out} --split LIST --methods unatt --out RESULTS"),
    ({"grid"}, "python jobs/train_soft_attention.py --store {out} --split LIST --out SOFT_ATTENTION"),
    ({"features"}, "python jobs/evaluate.py --store {out} --split LIST --methods svm --train-split LIST --out RESULTS"),
    (set[str](), "python jobs/verify.py --store {out}"),
)
"""Columns of a store, and a command that reads them; the first that the store has count."""
_SAMPLING = ("method", "stride", "fps")
"""Fields of a prediction that its next run must repeat."""


def last_line(options: Any) -> str | None:
    """Return the last line of a job that has succeeded; None if the job has written its own or nothing."""
    line = _LAST_LINES.get(type(options).__name__)
    if getattr(options, "clip", None) is not None:
        line = _OF_CLIPS
    if type(options).__name__ == "TrainClipCnnOptions" and options.modality == "flow":
        line = _OF_TEACHER
    if line is None or getattr(options, "dry_run", False) or getattr(options, "overlays", 0):
        return None
    if "{reader}" in line:
        line = line.replace("{reader}", next(reader for needs, reader in _READERS if needs <= {*options.columns}))
    words = {name: _shown(value) for name, value in vars(options).items()}
    flow = getattr(options, "flow", None)
    words["source"] = "--videos VIDEOS" if flow is None else f"--flow {_shown(flow)}"
    return line.format_map({**words, "sampling": _changed(options, _SAMPLING)})


def _changed(options: Any, names: Collection[str]) -> str:
    """Flags of the fields that do not have their defaults, each after a space."""
    fields = [field for field in dataclasses.fields(options) if field.name in names]
    values = [(field.name, getattr(options, field.name), field.default) for field in fields]
    return "".join(f" --{name} {_shown(value)}" for name, value, default in values if value != default)


def interrupted(options: Any) -> str:
    """Return the line of a job that was interrupted and has not said itself how to go on."""
    return AGAIN if type(options).__name__ in _NOT_RESUMED else RESUME


def _shown(value: Any) -> str:
    """Value of a field as words of a command line."""
    words = value if isinstance(value, tuple) else (value,)
    return " ".join(shlex.quote(str(word).rstrip("/") or str(word)) for word in words)
