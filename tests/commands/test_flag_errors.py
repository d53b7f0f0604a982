import dataclasses
import re

import pytest

from attn.commands.adapt_options import AdaptOptions
from attn.commands.choose_options import ChooseOptions
from attn.commands.cli import parse
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.engine.exit_codes import EXIT_USAGE
from attn.training.cnn_options import TrainCnnOptions
from attn.training.energynet_options import TrainEnergyNetOptions

ENOUGH = ["--videos", "v", "--out", "o", "--weights", "w"]


def refused(capsys, *given, options=PrecomputeOptions):
    with pytest.raises(SystemExit) as end:
        parse(options, "", given)
    assert end.value.code == EXIT_USAGE
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert said.err.endswith((".\n", "?\n"))
    return said.err.removeprefix("error: ").strip()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--vidoes", "v"], "--vidoes: unknown flag. Did you mean --videos?"),
        (["--weight=w"], "--weight: unknown flag. Did you mean --weights?"),
        (["--batch_sise", "3"], "--batch_sise: unknown flag. Did you mean --batch-size?"),
        (["--Stride", "3"], "--Stride: unknown flag. Did you mean --stride?"),
        (["-stride", "3"], "-stride: unknown flag. Did you mean --stride?"),
        (["--fraction", "0.1"], "--fraction: unknown flag. Did you mean --max-failed-fraction?"),
        (
            ["--no-overwrite"],
            "--no-overwrite: this is the default. Leave it out, or give --overwrite for the opposite.",
        ),
        (
            ["--no-overwrit"],
            "--no-overwrit: unknown flag. Did you mean --no-overwrite? It is the default; leave it out.",
        ),
        (["--xyzzy"], "--xyzzy: unknown flag. --help explains every flag."),
    ],
)
def test_a_misspelt_flag_is_answered_by_the_right_one(capsys, given, meant):
    assert refused(capsys, *ENOUGH, *given) == meant
    assert refused(capsys, *given) == meant  # before what is missing


@pytest.mark.parametrize(
    ("options", "given", "default", "opposite"),
    [
        (ChooseOptions, ["--adapt"], "the default", "--no-adapt"),
        (ChooseOptions, ["--adapt", "True"], "the default", "--no-adapt"),
        (ChooseOptions, ["--adapt=False"], "the default", "--no-adapt"),
        (ChooseOptions, ["--no-dry_run"], "the default", "--dry-run"),
        (ChooseOptions, ["--energynet.residual"], "the default", "--energynet.no-residual"),
        (ChooseOptions, ["--energynet.no-normalise-embedding"], "the default", "--energynet.normalise-embedding"),
        (TrainEnergyNetOptions, ["--residual"], "the default of --recipe steady", "--no-residual"),
        (TrainEnergyNetOptions, ["--recipe", "steady", "--mirror"], "the default of --recipe steady", "--no-mirror"),
    ],
)
def test_a_switch_for_the_default_is_answered_by_that(capsys, options, given, default, opposite):
    flag = next(one for one in given if one.startswith("--") and one != "--recipe").partition("=")[0]
    said = f"{flag}: this is {default}. Leave it out, or give {opposite} for the opposite."
    assert refused(capsys, *given, options=options) == said


@pytest.mark.parametrize(
    ("options", "switch"),
    [(TrainEnergyNetOptions, "mirror"), (TrainEnergyNetOptions, "residual"), (TrainCnnOptions, "balanced")],
)
def test_a_switch_against_the_recipe_is_called_a_contradiction(capsys, options, switch):
    said = f"--{switch}: contradicts --recipe paper, which sets --no-{switch}. Omit one of the two flags."
    assert refused(capsys, "--recipe", "paper", f"--{switch}", options=options) == said
    assert refused(capsys, f"--{switch}", "--recipe=paper", options=options) == said


@pytest.mark.parametrize(
    ("options", "given", "flag"),
    [
        (AdaptOptions, ["--weights", "w", "--videos", "v", "--out", "o", "--seed"], "--seed"),
        (EvaluateOptions, ["--store", "s", "--split", "l", "--out", "o", "--seed"], "--seed"),
        (ReproduceOptions, ["--dataset", "synthetic", "--out", "o", "--seeds", "3"], "--seeds"),
        (
            ChooseOptions,
            ["--weights", "w", "--videos", "v", "--labels", "l", "--out", "o", "--energynet.seed"],
            "--energynet.seed",
        ),
    ],
)
def test_a_seed_that_some_library_does_not_take_is_refused(capsys, options, given, flag):
    for seed in (-1, 2**32, 10**30):
        said = f"{flag} {seed}: out of range. Give integers from 0 to 4294967295."
        assert refused(capsys, *given, str(seed), options=options) == said
    parse(options, "", [*given, str(2**32 - 1)])


@pytest.mark.parametrize("flag", ["--lists", "--columns"])
def test_a_flag_whose_variable_is_not_set_is_refused(capsys, flag):
    said = f"{flag}: empty. Give at least one value, or leave it out."
    assert refused(capsys, flag, *ENOUGH) == said
    assert refused(capsys, *ENOUGH, flag) == said


def test_a_misspelt_switch_is_not_answered_by_its_opposite(capsys):
    said = refused(capsys, "--adpat", options=ChooseOptions)
    assert said == "--adpat: unknown flag. Did you mean --adapt? It is the default; leave it out."


def test_missing_flags_are_named(capsys):
    complaint = "--out, --weights: required. Give them; --help explains every flag."
    assert refused(capsys, "--videos", "v") == complaint
    assert refused(capsys, "--store", "s", "--out", "o", options=EvaluateOptions).startswith(
        "--split: required. Give it"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--stride", "five"], r".*--stride: invalid literal for int.*'five'"),
        (["--precision", "fp31"], r"invalid choice 'fp31' for argument '--precision'. Expected one of .*'bf16'"),
        (["--mean", "0.1"], r".*--mean: no type matching .*expected argument count 3 of `FLOAT FLOAT FLOAT`"),
        (["--stride"], r"Missing value for argument '--stride'"),
        (["a", "b"], r"Unrecognized options: a, b"),
    ],
)
def test_a_wrong_value_is_one_line(capsys, given, said):
    assert re.match(said, refused(capsys, *ENOUGH, *given))


@dataclasses.dataclass(frozen=True)
class Switches:
    start: bool = True
    """Default on."""
    stop: bool = False
    """Default off."""
    shift: int = 0
    """A number."""


def test_switches_negative_numbers_and_underscores_are_flags_and_values_as_before():
    assert parse(Switches, "", ["--no-start", "--stop", "--shift", "-3"]) == Switches(start=False, stop=True, shift=-3)
    assert parse(PrecomputeOptions, "", [*ENOUGH, "--batch_size", "3"]).batch_size == 3
    words = ["--store", "s", "--split", "l", "--out", "o", "--recipe", "paper"]
    assert parse(TrainEnergyNetOptions, "", words).recipe == "paper"
