import dataclasses
import json
import shutil

import pytest

from attn.errors import UsageError
from attn.storage.listing import list_files
from attn.storage.location import Location
from attn.training.run import TrainRun


@pytest.fixture
def run(tmp_path):
    return TrainRun(str(tmp_path / "cnn.safetensors"), {"lr": 0.1, "class_names": ("a", "b")})


def finish(run, tmp_path):
    run.begin({})
    (tmp_path / "cnn.train" / run.name).mkdir()
    (tmp_path / "cnn.safetensors").write_text("weights")
    run.finish({"validation_accuracy": 0.5})


def test_a_life(run, tmp_path):
    assert run.report() is None
    run.begin({"python": "3"})
    assert json.loads((tmp_path / "cnn.train" / "run.json").read_text())["made_by"] == {"python": "3"}
    assert run.report() is None
    finish(run, tmp_path)
    assert run.report() == {"validation_accuracy": 0.5}
    assert not (tmp_path / "cnn.train" / run.name).exists()


def test_a_report_without_its_checkpoint_is_not_finished(run, tmp_path):
    finish(run, tmp_path)
    (tmp_path / "cnn.safetensors").unlink()
    assert run.report() is None


@pytest.mark.parametrize("done", [False, True])
def test_other_options_are_refused_with_the_difference(run, tmp_path, done):
    finish(run, tmp_path) if done else run.begin({})
    other = dataclasses.replace(run, decisive={**run.decisive, "lr": 0.2, "new": None})
    with pytest.raises(UsageError, match=r"lr: 0\.2 here, 0\.1 there"):
        other.report()


def test_a_file_that_nobody_knows_is_left_alone(run, tmp_path):
    (tmp_path / "cnn.safetensors").write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        run.report()


def test_another_suffix_is_refused(run):
    with pytest.raises(UsageError, match="safetensors"):
        dataclasses.replace(run, out="cnn.pth").report()


def test_a_torn_record_is_named(run, tmp_path):
    run.begin({})
    (tmp_path / "cnn.train" / "run.json").write_text('{"decis')
    with pytest.raises(UsageError, match=r"run\.json: damaged"):
        run.report()


def test_what_learnt_nothing_is_forgotten_and_what_did_is_kept(run, tmp_path):
    run.begin({})
    run.write_metrics([{"epoch": 1}])
    run.forget()
    assert run.metrics() == [{"epoch": 1}]
    run.write_metrics([])
    run.forget()
    assert not (tmp_path / "cnn.train").exists()


def test_frames_outlive_a_training_that_was_refused(run, tmp_path):
    run.begin({})
    (tmp_path / "cnn.train" / "frames").mkdir()
    (tmp_path / "cnn.train" / "frames" / "part-0.parquet").touch()
    (tmp_path / "cnn.train" / run.name).mkdir()
    run.forget()
    assert [path.name for path in (tmp_path / "cnn.train").rglob("*")] == ["frames", "part-0.parquet"]
    assert run.report() is None


def test_damaged_metrics_are_none_and_written_anew(run, tmp_path):
    run.begin({})
    run.write_metrics([{"epoch": 1}])
    (tmp_path / "cnn.train" / "metrics.jsonl").write_bytes(bytes(40))
    assert run.metrics() == []
    run.write_metrics([{"epoch": 1}, {"epoch": 2}])
    assert run.metrics() == [{"epoch": 1}, {"epoch": 2}]


def test_what_has_a_state_is_never_forgotten(run, tmp_path):
    """Also without metrics: all checkpoints may be damaged, and the user may have a backup."""
    run.begin({})
    state = tmp_path / "cnn.train" / run.name / "states" / "state-000000001-0123abcd"
    state.mkdir(parents=True)
    run.forget()
    assert state.exists()


def test_what_others_have_in_the_folder_stays(run, tmp_path):
    folder = tmp_path / "cnn.train"
    (folder / "Kick").mkdir(parents=True)
    (folder / "Kick" / "a.jpg").touch()
    (folder / "notes.json").touch()
    assert run.begin({})
    (folder / "events.out.tfevents.1.host").touch()
    run.forget()
    assert sorted(path.name for path in folder.rglob("*")) == ["Kick", "a.jpg", "notes.json"]


def test_who_did_not_begin_it_is_told(run):
    assert run.begin({})
    assert not run.begin({})


def test_a_folder_that_another_process_removes_too_is_no_reason_to_stop(run, tmp_path, monkeypatch):
    """A lost worker that is still running may do so."""
    finish(run, tmp_path)
    folder, removed = tmp_path / "cnn.train" / run.name, []
    remove = shutil.rmtree

    def rmtree(path):
        removed.append(path)
        if len(removed) == 1:
            raise FileNotFoundError(path)
        remove(path)

    folder.mkdir()
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    run.finish({})
    assert len(removed) == 2
    assert not folder.exists()


@pytest.mark.parametrize("storage", ["tmp_path", "s3"])
def test_states_go_from_a_folder_whose_name_could_be_a_pattern(storage, request):
    run = TrainRun(f"{request.getfixturevalue(storage)}/lr[0.1]*/cnn.safetensors", {"lr": 0.1})
    run.begin({})
    run.write(f"{run.name}/states/state-000000001-0123abcd/sums.json", "{}")
    run.drop_states()
    path = Location.at(run.url)
    assert [file.path.removeprefix(path.path) for file in list_files(path)] == ["/run.json"]


def test_the_same_training_given_twice_is_refused(run):
    refused = pytest.raises(UsageError, match=r"cnn\.train: another run is using this folder\. ")
    with run.locked(), refused, run.locked():
        pass
