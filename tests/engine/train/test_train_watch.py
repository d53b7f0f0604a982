import functools
import logging

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from attn.engine.train.remote_status import RemoteStatus
from attn.engine.train.train_watch import TrainWatch
from attn.training.cnn_rows import best_row, epoch_line
from attn.training.run import TrainRun
from attn.training.status import LocalStatus, Status


def row(epoch, accuracy):
    return {
        "epoch": epoch,
        "train_loss": 1 / epoch,
        "train_accuracy": 0.5,
        "validation_accuracy": accuracy,
        "images_per_s": 90.0,
        "seconds": 70.0,
    }


SETTINGS = {
    "unit": "epoch",
    "total": 3,
    "line": functools.partial(epoch_line, epochs=3, keep_by="accuracy"),
    "need": "1 worker of 2 CPU",
}
ROWS = [row(1, 0.5), row(2, 0.75), row(3, 0.25)]


@pytest.fixture
def run(tmp_path):
    return TrainRun(str(tmp_path / "cnn.safetensors"), {})


@pytest.fixture
def watch(run, caplog):
    caplog.set_level(logging.INFO)
    return TrainWatch(LocalStatus(), run, **SETTINGS)


def test_an_epoch_is_one_line_and_one_row(watch, run, caplog):
    watch.report(Status(started_s=1, rows=ROWS[:2]))
    watch.report(Status(started_s=1, rows=ROWS[:2]))
    watch.report(Status(started_s=1, rows=ROWS))
    assert caplog.messages == [
        "epoch 1/3: loss 1.000, train 50.0%, validation 50.0% (best), 90 images/s, ETA 0:02:20",
        "epoch 2/3: loss 0.500, train 50.0%, validation 75.0% (best), 90 images/s, ETA 0:01:10",
        "epoch 3/3: loss 0.333, train 50.0%, validation 25.0%, 90 images/s, ETA 0:00:00",
    ]
    assert run.metrics() == ROWS


def test_the_start_is_a_line_too_and_not_given_up_for_its_equal(watch, run, caplog):
    nothing = dict.fromkeys(("train_loss", "train_accuracy", "images_per_s"))
    rows = [row(1, 0.5) | nothing | {"epoch": 0}, row(1, 0.5), row(2, 0.75)]
    watch.report(Status(started_s=1, rows=rows))
    assert caplog.messages == [
        "epoch 0/3: initial weights, validation 50.0%",
        "epoch 1/3: loss 1.000, train 50.0%, validation 50.0%, 90 images/s, ETA 0:02:20",
        "epoch 2/3: loss 0.500, train 50.0%, validation 75.0% (best), 90 images/s, ETA 0:01:10",
    ]
    assert run.metrics() == rows
    watch.report(Status(started_s=2, resumed=2, rows=rows[:2]))
    assert caplog.messages[-1] == "workers were lost; resuming after epoch 1 of 3"


def test_the_smallest_validation_loss_decides_if_asked():
    rows = [
        row(1, 0.5) | {"epoch": epoch, "validation_loss": loss} for epoch, loss in enumerate((1.5, 1.25, 1.5, 1.25))
    ]
    kept = [best_row(rows[:count], "loss")["epoch"] for count in (1, 2, 3, 4)]
    assert kept == [0, 1, 1, 3]  # the last of several
    assert best_row(rows[2:3] + rows[:1], "loss")["epoch"] == 0  # the start is preferred to its equal
    assert best_row([rows[0] | {"validation_loss": None}, rows[1] | {"validation_loss": None}], "loss") is not None
    line = epoch_line(rows[:2], epochs=3, keep_by="loss")
    assert line == "loss 1.000, train 50.0%, validation 50.0%, loss 1.250 (best), 90 images/s, ETA 0:02:20"


def test_tensorboard_reads_what_was_written(watch, tmp_path):
    watch.report(Status(rows=ROWS))
    watch._events.close()
    events = EventAccumulator(str(tmp_path / "cnn.train")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("validation_accuracy")] == [
        (1, 0.5),
        (2, 0.75),
        (3, 0.25),
    ]


def test_a_board_that_was_lost_with_its_machine_says_nothing_until_the_workers_are_back(watch, run, caplog):
    watch.report(Status(started_s=1, rows=ROWS[:2]))
    watch.report(Status())
    assert len(caplog.messages) == 2
    assert run.metrics() == ROWS[:2]
    watch.report(Status(started_s=2, resumed=2, rows=ROWS[:2]))
    assert caplog.messages[2:] == ["workers were lost; resuming after epoch 2 of 3"]


def test_states_that_were_passed_over_are_named_in_a_warning(watch, caplog):
    watch.report(Status(started_s=1, resumed=1, rows=ROWS[:1], damaged=("/states/2: damaged (a is missing)",)))
    watch.report(Status(started_s=1, resumed=1, rows=ROWS[:2], damaged=("/states/2: damaged (a is missing)",)))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["/states/2: damaged (a is missing). Ignoring this checkpoint."]


def test_a_restart_is_told_and_epochs_done_again_stand_once(watch, run, caplog):
    watch.report(Status(started_s=1, rows=ROWS[:2]))
    watch.report(Status(started_s=2, resumed=1, rows=ROWS[:1]))
    watch.report(Status(started_s=2, resumed=1, rows=ROWS))
    told = [line.split(":")[0] for line in caplog.messages]
    assert told == [
        "epoch 1/3",
        "epoch 2/3",
        "workers were lost; resuming after epoch 1 of 3",
        "epoch 2/3",
        "epoch 3/3",
    ]
    assert run.metrics() == ROWS


def test_a_second_driver_tells_new_epochs_only(run, caplog):
    run.write_metrics(ROWS[:2])
    caplog.set_level(logging.INFO)
    watch = TrainWatch(None, run, **SETTINGS)
    watch.report(Status(started_s=1, resumed=2, rows=ROWS[:2]))
    watch.report(Status(started_s=1, resumed=2, rows=ROWS))
    assert [line.split(":")[0] for line in caplog.messages] == ["resuming after epoch 2 of 3", "epoch 3/3"]


def test_skipped_images_are_counted_and_the_first_named(watch, caplog):
    watch.report(Status(skipped={f"a/{number}.jpg": f"a/{number}.jpg: is no image" for number in range(7)}))
    assert "7 images are skipped: a/0.jpg: is no image; " in caplog.text
    assert caplog.text.rstrip().endswith("a/4.jpg: is no image and 2 more")


@pytest.mark.parametrize("kind", [LocalStatus, RemoteStatus])
def test_what_is_pinned_is_shown_while_it_runs(kind, ray_local, run, caplog):
    caplog.set_level(logging.INFO)
    status = kind()
    with TrainWatch(status, run, **SETTINGS):
        status.update(rows=ROWS, note="late")
        status.read()  # a new actor needs seconds to start
    assert [line.split(":")[0] for line in caplog.messages] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert status.read().note == "late"
