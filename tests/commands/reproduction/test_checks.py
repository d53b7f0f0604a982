"""Options of the tables, checked before any file is read."""

import pytest

from attn.commands.reproduction.checks import check_options
from attn.commands.reproduction.reproduce import EXIT_FAILED_STEPS, exit_code
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.engine.run_steps import Outcome
from attn.errors import UsageError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dataset": "labelled"}, "--dataset labelled: --labels is missing. Give the table of labels as --labels."),
        (
            {"dataset": "ucf101", "labels": "l.csv"},
            "--labels: belongs to --dataset labelled, not ucf101. Omit one of the two flags.",
        ),
    ],
)
def test_a_table_of_labels_and_its_data_set_need_each_other(options, said):
    with pytest.raises(UsageError) as refused:
        check_options(ReproduceOptions(root="videos", out="o", **options))
    assert str(refused.value) == said


def test_steps_that_failed_are_told_from_those_that_need_them(caplog):
    outcome = Outcome({}, {"cnn": "why", "maps": "needs cnn", "scores": "needs maps"}, frozenset({"maps", "scores"}))
    assert exit_code(outcome, ["step"] * 5) == EXIT_FAILED_STEPS
    assert caplog.messages == [
        "1 of 5 steps failed, and 2 need them. Remove the cause, see the log, and run the same command again."
    ]
    caplog.clear()
    assert exit_code(Outcome({}, {}), []) == 0
    assert caplog.messages == []
