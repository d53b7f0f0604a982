"""Help texts: on one line until the terminal breaks them, with a default where there is one to show."""

import dataclasses

import pytest

from attn.commands.adapt_options import AdaptOptions
from attn.commands.choose_options import ChooseOptions
from attn.commands.cli import parse
from attn.commands.decode_frames_options import DecodeFramesOptions
from attn.commands.detect_options import DetectOptions
from attn.commands.evaluate_detection_options import EvaluateDetectionOptions
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.explore.explore_options import ExploreOptions
from attn.commands.flag_help import explained
from attn.commands.join_clips_options import JoinClipsOptions
from attn.commands.pack_options import PackOptions
from attn.commands.precompute_flow_options import PrecomputeFlowOptions
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.predict_options import PredictOptions
from attn.commands.report_options import ReportOptions
from attn.commands.reproduction.distillation_options import DistillationTablesOptions
from attn.commands.reproduction.reproduce_options import (
    DemoOptions,
    ReproduceOptions,
    SoftAttentionTablesOptions,
    TsrnetTablesOptions,
)
from attn.commands.verify_options import VerifyOptions
from attn.commands.video_labels_options import VideoLabelsOptions
from attn.methods import CHOICES, OF_CNN, summaries
from attn.training.clip_options import TrainClipCnnOptions
from attn.training.cnn_options import TrainCnnOptions
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.search_options import SearchOptions, SearchTsrnetOptions
from attn.training.soft_attention_options import TrainSoftAttentionOptions
from attn.training.tsrnet_options import TrainTsrnetOptions

JOBS = [
    *(PackOptions, VerifyOptions, PrecomputeOptions, PrecomputeFlowOptions, EvaluateOptions, PredictOptions),
    *(EvaluateDetectionOptions, DecodeFramesOptions, TrainClipCnnOptions),
    *(TrainCnnOptions, AdaptOptions, TrainEnergyNetOptions, TrainSoftAttentionOptions, SearchOptions, ChooseOptions),
    *(TrainTsrnetOptions, DetectOptions, TsrnetTablesOptions, SearchTsrnetOptions),
    *(ReproduceOptions, SoftAttentionTablesOptions, DistillationTablesOptions, DemoOptions, ReportOptions),
    JoinClipsOptions,
    VideoLabelsOptions,
    ExploreOptions,
]


GROUPS = {"energynet", "soft_attention", "tsrnet", "clip_cnn"}
"""Settings that have flags of their own, such as --energynet.lr."""


@dataclasses.dataclass(frozen=True)
class Parent:
    weights: str
    """Where the network
    begins."""
    rate: float | None = None
    """Learning rate, 1/update
    (default: what the network was made with)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Child(Parent):
    rate: float | None = 0.5
    """Another rate."""
    names: tuple[str, ...] = ()
    """Which ones (default: all)."""
    careful: bool = True
    """Check twice."""


def shown(options_type, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit) as ended:
        parse(options_type, None, ["--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_lines_are_joined_and_a_default_that_says_nothing_is_not_shown(capsys, monkeypatch):
    text = shown(Parent, capsys, monkeypatch)
    assert "Where the network begins. (required)" in text
    assert "Learning rate, 1/update (default: what the network was made with).  " in text
    assert "None)" not in text


def test_a_field_that_is_declared_again_has_the_later_text_and_default(capsys, monkeypatch):
    text = shown(Child, capsys, monkeypatch)
    assert "Another rate. (default: 0.5)" in text


def test_a_switch_that_is_on_says_that_its_flag_turns_it_off(capsys, monkeypatch):
    assert "--no-careful" in (text := shown(Child, capsys, monkeypatch))
    assert "Turn this off: Check twice." in text
    assert "(default: True)" not in text
    assert "Learning rate" not in text
    assert "Which ones (default: all).  " in text


def test_help_names_the_methods_of_the_table(capsys, monkeypatch):
    for options_type, names in ((EvaluateOptions, CHOICES), (PredictOptions, OF_CNN)):
        assert f"{summaries(names)} (default: cnn" in shown(options_type, capsys, monkeypatch)


def test_what_is_parsed_is_of_the_type_itself():
    found = parse(Child, None, ["--weights", "a", "--names", "b", "c"])
    assert type(found) is Child
    assert found == Child(weights="a", names=("b", "c"))


@pytest.mark.parametrize("options_type", JOBS, ids=lambda options_type: options_type.__name__)
def test_every_flag_of_every_job_is_explained(options_type):
    fields = {field.name for field in dataclasses.fields(options_type)}
    assert fields - explained(options_type).__annotations__.keys() <= GROUPS
