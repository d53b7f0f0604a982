"""Export to FiftyOne: labels and heat maps of each frame, and a data set that FiftyOne itself opens."""

import importlib.util

import numpy as np
import pytest

from attn.commands.export import export
from attn.commands.export_fiftyone import labels_of, read_labels
from attn.commands.export_options import ExportOptions
from attn.commands.store_videos import videos_of
from attn.errors import UsageError
from attn.eval.fusion import late_fusion, softmax
from attn.storage.store import AttentionStore
from attn.video.transform import BILINEAR
from tests.commands.explore.serving import CLASSES, CLIPS, STRANGE, write_known_store

installed = importlib.util.find_spec("fiftyone") is not None


@pytest.fixture(scope="module")
def store(tmp_path_factory, clip_folder):
    return AttentionStore.open(write_known_store(str(tmp_path_factory.mktemp("store")), str(clip_folder)))


@pytest.fixture(scope="module")
def rows(store):
    return {one.video_id: one for one in store.videos(["logits", "maps"])}


def test_a_frame_has_the_decision_of_its_logits_and_the_maps_of_two_classes(rows):
    one = rows["v_Kick_g03_c01"]
    found = labels_of(one, CLASSES, "clip.avi", (128, 96), BILINEAR)
    said = late_fusion(one.logits).argmax()
    assert (found.truth, found.cnn.class_name) == (CLASSES[1], CLASSES[said])
    np.testing.assert_allclose(found.cnn.logits, late_fusion(one.logits), rtol=1e-5)
    assert [frame.number for frame in found.frames] == (one.frame + 1).tolist()
    for row, frame in enumerate(found.frames):
        assert frame.cnn.class_name == CLASSES[one.logits[row].argmax()]
        assert frame.cnn.confidence == pytest.approx(softmax(one.logits)[row].max())
        for name, c in {"attention_cnn": said, "attention_ground_truth": 1}.items():
            heat = frame.heat[name]
            assert heat.shape == (56, 75)
            assert not heat[:, [0, 8, -8, -1]].any()  # outside the central square
            cells = heat[7::14, 9:65][:, 7::14]  # half a pixel beside the centres of the 4×4 cells
            np.testing.assert_allclose(cells, one.maps[row, c], atol=0.1 * one.maps[row, c].max())
    assert found.largest == one.maps[:, [said, 1]].max()


def test_videos_that_are_not_there_are_left_out_and_named(store, caplog):
    found = list(read_labels(store, videos_of(store, None), store.videos(["logits", "maps"])))
    assert sorted(one.video_id for one in found) == sorted(CLIPS)
    assert f"{STRANGE} left out: not among the videos." in caplog.text


@pytest.mark.skipif(installed, reason="fiftyone is installed")
def test_without_fiftyone_one_line_says_how_to_install_it(store, tmp_path):
    with pytest.raises(UsageError, match=r"fiftyone is missing .* Run pip install 'attn\[fiftyone\]'\."):
        export(ExportOptions(store=store.url, to="fiftyone", out=str(tmp_path / "out")))


def test_videos_are_a_flag_of_fiftyone_only(store, tmp_path):
    with pytest.raises(UsageError, match="--videos: not used with --to csv"):
        export(ExportOptions(store=store.url, to="csv", out=str(tmp_path), videos="videos"))


@pytest.mark.skipif(not installed, reason="no fiftyone: pip install fiftyone")
@pytest.mark.filterwarnings("default")  # its own libraries warn
def test_fiftyone_opens_the_data_set(store, rows, tmp_path):
    import fiftyone

    before, out = fiftyone.list_datasets(), tmp_path / "out"
    assert export(ExportOptions(store=store.url, to="fiftyone", out=str(out))) == 0
    assert fiftyone.list_datasets() == before
    dataset = fiftyone.Dataset.from_dir(str(out), fiftyone.types.FiftyOneDataset)
    assert sorted(dataset.values("video_id")) == sorted(CLIPS)
    for sample in dataset:
        one = rows[sample.video_id]
        assert sample.filepath.endswith(f"{sample.video_id}.avi")
        assert sample.ground_truth.label == CLASSES[one.label]
        assert sample.cnn.label == CLASSES[late_fusion(one.logits).argmax()]
        assert sorted(sample.frames) == (one.frame + 1).tolist()
        last = sample.frames[int(one.frame[-1]) + 1]
        np.testing.assert_allclose(last.cnn.logits, one.logits[-1], rtol=1e-6)
        heat = labels_of(one, CLASSES, "", (128, 96), BILINEAR).frames[-1].heat["attention_cnn"]
        np.testing.assert_allclose(last.attention_cnn.map, heat, rtol=1e-6)
    with pytest.raises(UsageError, match=r"has files\. FiftyOne needs a new folder"):
        export(ExportOptions(store=store.url, to="fiftyone", out=str(out)))
    dataset.delete()
