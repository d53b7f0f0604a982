"""Last lines of jobs: they name the output, and the commands in them are ones that the scripts take."""

import inspect
import logging
import re

import pytest

from attn.commands import next_step
from attn.commands.adapt_options import AdaptOptions
from attn.commands.choose_options import ChooseOptions
from attn.commands.cli import run
from attn.commands.detect_options import DetectOptions
from attn.commands.evaluate_detection_options import EvaluateDetectionOptions
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.export_options import ExportOptions
from attn.commands.import_features_options import ImportFeaturesOptions
from attn.commands.next_step import interrupted, last_line
from attn.commands.pack_options import PackOptions
from attn.commands.precompute_flow_options import PrecomputeFlowOptions
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.predict_options import PredictOptions
from attn.commands.report_options import ReportOptions
from attn.commands.verify_options import VerifyOptions
from attn.commands.video_labels_options import VideoLabelsOptions
from attn.commands.zero_shot_options import ZeroShotOptions
from attn.training.clip_options import TrainClipCnnOptions
from attn.training.cnn_options import TrainCnnOptions
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.search_options import SearchOptions, SearchSoftAttentionOptions, SearchTsrnetOptions
from attn.training.soft_attention_options import TrainSoftAttentionOptions
from attn.training.tsrnet_options import TrainTsrnetOptions
from tests.docs.test_pages import check

OUT = "my results/"
JOBS = [
    *(AdaptOptions, ChooseOptions, EvaluateDetectionOptions, EvaluateOptions, ExportOptions, ImportFeaturesOptions),
    *(PackOptions, PrecomputeOptions, PredictOptions, ReportOptions, TrainCnnOptions, TrainEnergyNetOptions),
    *(SearchOptions, SearchSoftAttentionOptions, TrainSoftAttentionOptions, SearchTsrnetOptions, TrainTsrnetOptions),
    *(DetectOptions, TrainClipCnnOptions, ZeroShotOptions, PrecomputeFlowOptions, VideoLabelsOptions),
]


def options_of(kind, **told):
    """Options whose required fields are names."""
    told = {"out": OUT, "store": "store", "split": "list", "videos": "videos", "model": ("a b", "c"), **told}
    fields = inspect.signature(kind).parameters.values()
    return kind(**{one.name: told.get(one.name, "x") for one in fields if one.default is one.empty or one.name in told})


def test_every_line_is_of_a_job():
    assert {kind.__name__ for kind in JOBS} == next_step._LAST_LINES.keys()


def test_clips_are_scored_by_their_network_and_a_teacher_teaches():
    clips = last_line(options_of(PrecomputeOptions, clip=(8, 2), weights="student.safetensors"))
    teacher = last_line(options_of(TrainClipCnnOptions, modality="flow", flow="flow/", length=8, step=2))
    student = last_line(options_of(TrainClipCnnOptions, modality="rgb", length=8, step=2))
    assert "--model student.safetensors" in clips
    assert "--teacher 'my results'" in teacher
    assert "--length 8 --step 2" in teacher
    assert "--clip 8 2" in student
    for line in (clips, teacher, student):
        (command,) = re.findall(r"next: python (.*)", line)
        check(command)


@pytest.mark.parametrize("kind", JOBS, ids=lambda kind: kind.__name__)
def test_it_names_the_output_and_a_command_that_the_script_takes(kind):
    line = last_line(options_of(kind))
    assert line.startswith("'my results'")
    for command in re.findall(r"next: python (.*)", line):
        check(command)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("maps", "logits", "features"), "--split LIST --out RESULTS"),
        (("logits",), "--methods cnn --out RESULTS"),
        (("maps", "features"), "--methods unatt --out RESULTS"),
        (("features",), "--methods svm --train-split LIST --out RESULTS"),
        (("features", "grid"), "train_soft_attention.py --store 'my results' --split LIST"),
    ],
)
def test_the_command_after_precompute_reads_the_columns_that_there_are(columns, said):
    line = last_line(options_of(PrecomputeOptions, columns=columns))
    assert said in line
    check(re.search(r"next: python (.*)", line)[1])


def test_the_next_prediction_samples_and_scores_alike():
    line = last_line(options_of(PredictOptions, stride=1, method="unatt"))
    assert line.endswith("--out 'my results' --method unatt --stride 1 --overlays")
    check(re.search(r"next: python (.*)", line)[1])


def test_a_cnn_of_flow_is_followed_by_a_store_of_flow():
    line = last_line(options_of(TrainCnnOptions, flow="my flow/"))
    assert "jobs/precompute.py --flow 'my flow' --weights" in line
    check(re.search(r"next: python (.*)", line)[1])


def test_it_is_the_last_line_of_a_job_that_succeeds(caplog):
    with caplog.at_level(logging.INFO, "attn"):
        assert run(lambda _: 0, options_of(PrecomputeOptions)) == 0
    assert caplog.messages == [
        "'my results'; next: python jobs/evaluate.py --store 'my results' --split LIST --out RESULTS"
    ]
    caplog.clear()
    with caplog.at_level(logging.INFO, "attn"):
        assert run(lambda _: 3, options_of(PrecomputeOptions)) == 3
        assert run(lambda _: 0, options_of(PrecomputeOptions, dry_run=True)) == 0
        assert run(lambda _: 0, options_of(PredictOptions, overlays="all")) == 0
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (ChooseOptions, "to resume"),
        (EvaluateOptions, "to start again"),
        (VerifyOptions, "start again"),
        (ZeroShotOptions, "again"),
    ],
)
def test_an_interrupted_job_says_how_to_go_on(kind, said, capsys):
    def job(_):
        raise KeyboardInterrupt

    assert run(job, options_of(kind)) == 130
    assert said in capsys.readouterr().err
    assert said in interrupted(options_of(kind))
