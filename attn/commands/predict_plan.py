"""Plan of predict: the store that its videos would fill, the scorer and the names of the classes."""

import dataclasses

from attn.commands.precompute_clips import ClipPlan, make_clip_plan
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.precompute_plan import Plan, make_plan
from attn.commands.predict_model import PredictionModel, open_prediction_model
from attn.commands.predict_options import PredictOptions
from attn.commands.predict_overlays import FOLDER as OVERLAYS
from attn.commands.predict_overlays import check_flags
from attn.engine.terminal import say
from attn.errors import UsageError
from attn.models.clip_file import TrainedClipCnn
from attn.schema import CLIP_COLUMNS, LOGITS
from attn.stages.scoring import Scorer, UnAtt, cnn_scorer
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.manifest import Manifest, read_manifest
from attn.storage.writable import check_results_folder, check_writable

AnyPlan = Plan | ClipPlan
"""Plan of frames, or of clips."""
STORE = "store"


def make_prediction_plan(options: PredictOptions) -> tuple[AnyPlan, Scorer, tuple[str, ...]]:
    """Read the inputs and check that they are consistent; nothing is written.

    Returns:
        Plan to precompute an attention store of the videos, their scorer, and the names of the scored classes.

    Raises:
        UsageError: an input is invalid or inconsistent with the others; the message names the first one.
    """
    if not 0 <= options.max_failed_fraction <= 1:
        raise UsageError(f"--max-failed-fraction {options.max_failed_fraction:g}: must be from 0 to 1.")
    check_flags(options)
    say(f"{' '.join(options.model)}: loading the model")
    chosen = open_prediction_model(options)
    model, scorer = chosen.model, _scorer(options, chosen)
    settings = PrecomputeOptions(
        videos=Location.at(options.videos).absolute,
        out=join(options.out, STORE),
        weights=chosen.cnn_url,
        stride=options.stride,
        fps=options.fps,
        alpha_reduce="sum" if model.settings.get("alpha_reduce") == "sum" else "mean",
        max_failed_fraction=1.0,  # failures become rows of the tables and are counted later
    )
    if not {*scorer.columns} <= {*settings.columns}:
        settings = dataclasses.replace(settings, columns=scorer.columns)
    plan = make_plan(settings, cnn=model.cnn, labelled=False) if model.clips is None else _clips(settings, model.clips)
    _check_window(chosen, scorer, plan.manifest)
    chosen.check_fits(plan.manifest)
    _check_same_videos(plan)
    check_results_folder(options.out)
    if options.overlays:
        check_writable(join(options.out, OVERLAYS))
    return plan, scorer, model.class_names


def _clips(settings: PrecomputeOptions, trained: TrainedClipCnn) -> ClipPlan:
    """Plan of the clips of a network, which are those of its training."""
    if (settings.stride, settings.fps) != (PredictOptions.stride, None):
        raise UsageError(
            f"{shown(settings.weights)}: its clips are sampled as in its training. Leave out --stride and --fps."
        )
    if trained.modality != "rgb":
        raise UsageError(f"{shown(settings.weights)}: takes flow, but videos have frames. Give its student.")
    clip, columns = (trained.input.length, trained.input.step), CLIP_COLUMNS if trained.map_names else (LOGITS,)
    return make_clip_plan(dataclasses.replace(settings, clip=clip, columns=columns), labelled=False)


def _scorer(options: PredictOptions, chosen: PredictionModel) -> Scorer:
    if options.method is None:
        return chosen.model.scorer
    if chosen.model.method is not None:
        raise UsageError(f"--method {options.method}: {shown(chosen.url)} has its own method. Leave out --method.")
    return cnn_scorer(options.method)


def _check_window(chosen: PredictionModel, scorer: Scorer, manifest: Manifest) -> None:
    """Check that the window of UnAtt, if it is the method, fits the maps."""
    rows, cols = manifest.map_shape
    if chosen.model.method is None and isinstance(scorer, UnAtt) and scorer.window > min(rows, cols):
        raise UsageError(
            f"--method unatt: its window of {scorer.window} cells does not fit the {rows}×{cols} maps of "
            f"{shown(chosen.url)}. Use --method cnn."
        )


def _check_same_videos(plan: AnyPlan) -> None:
    """Check that the store was made from the same videos: other videos may have the same names."""
    folder = plan.ledger.folder
    with folder.errors():
        begun = read_manifest(folder, type(plan.manifest))
    before = plan.options.videos if begun is None else begun.informative.get("options", {}).get("videos")
    if before != plan.options.videos:
        raise UsageError(f"{plan.options.out}: made from the videos of {shown(str(before))}. Choose another --out.")
