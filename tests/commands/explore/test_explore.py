"""`explore` over HTTP: the list, frames, maps and values are those of the store; nothing else can be reached."""

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from attn.commands.explore.catalogue import Query
from attn.commands.explore.explore import explore, open_explorer
from attn.commands.explore.explore_options import ExploreOptions
from attn.commands.explore.explorer import Explorer
from attn.commands.explore.pictures import SIDE_PX, OvertakenError, Pictures
from attn.commands.store_videos import videos_of
from attn.errors import UsageError, VideoError
from attn.eval.fusion import late_fusion, softmax
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, save_checkpoint
from attn.models.energynet import EnergyNet
from attn.models.energynet_file import TrainedEnergyNet, load_energynet, save_energynet
from attn.models.soft_attention_file import load_soft_attention, save_soft_attention
from attn.schema import ATTENTION, FEATURES, GRID, LOGITS
from attn.stages.frame_values import value_name
from attn.stages.open_model import open_model
from attn.stages.scoring import CnnVote, EnergyNetScore, UnAtt, window_energies
from attn.storage.manifest import ClipManifest
from attn.storage.store import AttentionStore
from attn.video.transform import resize_and_crop
from tests.commands.explore.serving import CLASSES, CLIPS, LENGTHS, STRANGE, ask, reply, served, write_known_store
from tests.stores import new_manifest, write_store
from tests.untrained_models import untrained

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def store(tmp_path_factory, clip_folder):
    return AttentionStore.open(write_known_store(str(tmp_path_factory.mktemp("store")), str(clip_folder)))


@pytest.fixture(scope="module")
def energynet(store, tmp_path_factory):
    torch.manual_seed(0)
    net = EnergyNet(torch.randn(3, 5), (4, 4), hidden_dim=7, embedding_dim=6)
    url = str(tmp_path_factory.mktemp("net"))
    save_energynet(url, TrainedEnergyNet(net, CLASSES, (4, 4), store.manifest.fingerprint, {}))
    return url


@pytest.fixture(scope="module")
def url(store, energynet):
    with served(ExploreOptions(store=store.url, models=(f"mine={energynet}",), port=0)) as address:
        yield address


@pytest.fixture(scope="module")
def rows(store):
    return {one.video_id: one for one in store.videos(["logits", "maps"])}


def names(found):
    return [one["video"] for one in found["videos"]]


def test_the_list_has_the_votes_and_confidences_of_evaluate(url, rows):
    found = ask(url, "videos")
    assert (found["total"], names(found)) == (7, sorted(rows))
    for one in found["videos"]:
        logits = rows[one["video"]].logits
        assert one["predicted"] == late_fusion(logits).argmax()
        voters = softmax(logits)[logits.argmax(1) == one["predicted"], one["predicted"]]
        assert one["confidence"] == pytest.approx(voters.mean(), abs=1e-4)
        assert one["label"] == rows[one["video"]].label
        assert one["frames"] == len(logits)


def test_the_list_is_searched_filtered_and_sorted(url, rows):
    every = ask(url, "videos")["videos"]
    assert names(ask(url, "videos", ("q", "KICK g0"))) == [name for name in sorted(rows) if "Kick" in name]
    for predicted in range(3):
        wanted = [one["video"] for one in every if one["predicted"] == predicted and one["label"] == 1]
        assert names(ask(url, "videos", ("predicted", predicted), ("labelled", 1))) == wanted
    wrong = [one["video"] for one in every if one["label"] not in (None, one["predicted"])]
    assert names(ask(url, "videos", ("wrong", 1))) == wrong
    assert 0 < len(wrong) < 6
    least = sorted(every, key=lambda one: one["confidence"])
    assert names(ask(url, "videos", ("order", "least"))) == [one["video"] for one in least]
    assert names(ask(url, "videos", ("order", "most"))) == [one["video"] for one in reversed(least)]
    assert names(ask(url, "videos", ("start", 5))) == sorted(rows)[5:]


@pytest.mark.parametrize("name", [*CLIPS, STRANGE])
def test_frames_have_the_maps_logits_and_energies_of_the_store(url, rows, energynet, name):
    one = rows[name]
    video = ask(url, "video", ("video", name))
    assert video["frames"] == one.frame.tolist()
    assert video["times"] == pytest.approx(one.time_s.tolist(), abs=1e-3)
    learned = open_model(energynet).scorer
    for position in {0, len(one.frame) // 2, len(one.frame) - 1}:
        found = ask(url, "frame", ("video", name), ("position", position), ("class", 2), ("class", 0))
        assert list(found["maps"]) == ["2", "0"]
        for c, values in found["maps"].items():
            np.testing.assert_allclose(values, one.maps[position, int(c)].astype(np.float32), rtol=1e-4)
        np.testing.assert_allclose(found["values"]["cnn"], one.logits[position], rtol=1e-4)
        energies = window_energies(one.maps[position : position + 1], 3)[0]
        np.testing.assert_allclose(found["values"]["unatt"], energies, rtol=1e-4)
        alone = one.__class__(**{**vars(one), "tensors": {"maps": one.maps[position : position + 1]}})
        np.testing.assert_allclose(found["values"]["mine"], learned(alone), rtol=1e-3, atol=1e-4)


def test_curves_and_scores_are_those_of_the_whole_video(url, rows, energynet):
    name = "v_Wave_g04_c01"
    one, found = rows[name], ask(url, "curves", ("video", name), ("class", 1))
    net = EnergyNetScore(load_energynet(energynet).net)
    for method, score in {"cnn": late_fusion(one.logits), "unatt": UnAtt()(one), "mine": net(one)}.items():
        np.testing.assert_allclose(found["scores"][method], score, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["curves"]["cnn"]["1"], one.logits[:, 1], rtol=1e-4)
    np.testing.assert_allclose(found["curves"]["unatt"]["1"], window_energies(one.maps, 3)[:, 1], rtol=1e-4)
    np.testing.assert_allclose(found["largest"], one.maps.max((0, 2, 3)).astype(np.float32), rtol=1e-4)


def test_pictures_are_what_the_cnn_sees_of_the_sampled_frames(url, clip_folder, sequential):
    name = "v_Wave_g04_c01"
    (path,) = clip_folder.rglob(f"{name}.avi")
    frames = sequential(path)
    for position in (20, 3, 25, 0):
        status, content, _ = reply(url, "/api/picture", ("video", name), ("position", position))
        assert status == 200
        found = np.asarray(Image.open(io.BytesIO(content))).astype(int)
        assert np.abs(found - resize_and_crop(frames[5 * position], SIDE_PX)).mean() < 8
    status, content, _ = reply(url, "/api/picture", ("video", STRANGE), ("position", 0))
    assert (status, json.loads(content)) == (404, {"error": f"{STRANGE}: not among the videos."})


def test_videos_are_decoded_by_another_process_once(store, monkeypatch):
    pictures = Pictures(videos_of(store, None), store.manifest)
    begun, begin = [], Pictures._begin
    monkeypatch.setattr(Pictures, "_begin", lambda self, name: begun.append(name) or begin(self, name))
    first, second = "v_Wave_g04_c01", "v_Kick_g03_c01"
    for frame in (0, 5, 125, 60):
        pictures.get(first, frame)
    assert pictures._reader.child_pid is not None
    pictures.get(second, 10)
    pictures.get(first, 100)
    assert begun == [first, second]
    with pytest.raises(VideoError, match=r"v_Kick_g03_c01: has no frame 61 any more"):
        pictures.get(second, 61)
    pictures.close()
    assert pictures._reader.child_pid is None


def test_a_later_request_overtakes_an_earlier_one_that_waits(store):
    pictures, outcomes = Pictures(videos_of(store, None), store.manifest), {}

    def ask_for(video_id):
        try:
            outcomes[video_id] = pictures.get(video_id, 5)
        except OvertakenError:
            outcomes[video_id] = None

    with pictures._lock:
        for number, video_id in enumerate(("v_Wave_g04_c01", "v_Kick_g03_c01"), start=1):
            threading.Thread(target=ask_for, args=(video_id,)).start()
            while pictures._latest < number:
                time.sleep(0.001)
    while len(outcomes) < 2:
        time.sleep(0.01)
    assert outcomes["v_Wave_g04_c01"] is None
    assert outcomes["v_Kick_g03_c01"]
    pictures.close()


def test_a_later_request_overtakes_an_earlier_one_that_decodes(store, monkeypatch):
    pictures, begin = Pictures(videos_of(store, None), store.manifest), Pictures._begin

    def begin_while_another_asks(self, name):
        begin(self, name)
        self._latest += 1

    monkeypatch.setattr(Pictures, "_begin", begin_while_another_asks)
    with pytest.raises(OvertakenError):
        pictures.get("v_Wave_g04_c01", 126)  # not a sampled frame, so the search goes to the end
    pictures.close()


def test_memory_for_pictures_is_bounded(store, monkeypatch):
    monkeypatch.setattr("attn.commands.explore.pictures.CACHE_BYTES", 30_000)
    pictures = Pictures(videos_of(store, None), store.manifest)
    for frame in (125, 0):
        assert Image.open(io.BytesIO(pictures.get("v_Wave_g04_c01", frame))).size == (SIDE_PX, SIDE_PX)
    assert pictures._cache.bytes <= 30_000
    pictures.close()


@pytest.mark.parametrize(
    ("path", "query", "status", "said"),
    [
        ("/api/video", [("video", "../../etc/passwd")], 404, "the store has no such video."),
        ("/api/frame", [("video", STRANGE), ("position", 3)], 404, "the video has frames 0 to 2, not 3."),
        ("/api/frame", [("video", STRANGE), ("position", 0), ("class", 3)], 404, "the classes are 0 to 2."),
        ("/api/frame", [("video", STRANGE), ("position", "x")], 400, "the address is not complete"),
        ("/api/videos", [("order", "random")], 400, "the address is not complete"),
        ("/api/video", [], 400, "the address is not complete"),
        ("/../../etc/passwd", [], 404, "Not Found"),
        ("/explore.html", [], 404, "Not Found"),
    ],
)
def test_what_is_not_in_the_store_is_refused(url, path, query, status, said):
    found, content, _ = reply(url, path, *query)
    assert found == status
    assert said in content.decode()


def test_other_sites_cannot_ask(url):
    assert reply(url, "/", Host="attacker.example").status == 400
    assert reply(url, "/api/videos", method="POST").status == 405
    headers = reply(url, "/").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


def test_names_cannot_end_the_script_of_the_page(url):
    page = reply(url, "/").content.decode()
    assert page.count("</script>") == 3
    assert "<b>" not in page


def test_a_store_without_its_videos_says_so(store, tmp_path, caplog):
    _, pictures, setting = open_explorer(ExploreOptions(store=store.url, videos=str(tmp_path)))
    assert pictures is None
    assert str(tmp_path) in setting.why_no_frames
    assert "maps are shown without frames" in caplog.text


def test_a_model_of_sequences_shows_its_attention(tmp_path):
    url = write_known_store(str(tmp_path / "store"), None, columns=(GRID,))
    store = AttentionStore.open(url)
    model = untrained("soft_attention", store.manifest, str(tmp_path / "net"))
    trained = load_soft_attention(model)
    save_soft_attention(model, dataclasses.replace(trained, fingerprint=store.manifest.fingerprint))
    explorer, _, setting = open_explorer(ExploreOptions(store=url, models=(model,)))
    assert tuple(setting.class_names) == ("Run", "Jump")
    name = "v_Wave_g04_c01"
    assert explorer.frame(name, 7, ())["values"] == {}
    (rows,) = (one for one in store.videos([GRID]) if one.video_id == name)
    scored = open_model(model).scorer.scored(rows)
    curves = explorer.curves(name, (0, 1))["curves"]["soft_attention"]
    np.testing.assert_allclose([curves["0"], curves["1"]], scored.probabilities().T, rtol=1e-4)
    weights = explorer.frame(name, 7, ())["weights"]["soft_attention"]
    np.testing.assert_allclose(weights, scored.weights((4, 4))[7], rtol=1e-4)


def test_a_model_of_features_shows_the_probabilities_and_the_attention_of_frames(tmp_path):
    url = write_known_store(str(tmp_path / "store"), None, columns=(FEATURES,))
    store = AttentionStore.open(url)
    model = untrained("tsrnet", store.manifest, str(tmp_path / "net"))
    explorer, _, setting = open_explorer(ExploreOptions(store=url, models=(model,)))
    assert (setting.has_maps, setting.predicts, tuple(setting.class_names)) == (False, "", ("Run", "Jump"))
    name = "v_Wave_g04_c01"
    (rows,) = (one for one in store.videos([FEATURES]) if one.video_id == name)
    scorer = open_model(model).scorer
    single = scorer.stream(rows.tensors[FEATURES][7:8]).scores
    np.testing.assert_allclose(explorer.frame(name, 7, ())["values"]["tsrnet"], single, rtol=1e-4)
    found = explorer.curves(name, (1,))
    np.testing.assert_allclose(found["scores"]["tsrnet"], scorer(rows), rtol=1e-4)
    assert found["curves"]["tsrnet"]["1"][7] == pytest.approx(single[1], rel=1e-4)
    attention = dict(enumerate(found["attention"]["tsrnet"]))
    seen = {at: weight for at, weight in attention.items() if weight is not None}
    assert list(seen) == [0, 6, 13, 19]  # four samples of 26 frames
    np.testing.assert_allclose(
        list(seen.values()), scorer.stream(rows.tensors[FEATURES][list(seen)]).attention, rtol=1e-4
    )
    with pytest.raises(
        UsageError, match=r"has neither logits nor maps\. Give --models that score its features, or run"
    ):
        open_explorer(ExploreOptions(store=url))


def test_a_clip_store_shows_the_probabilities_and_the_attention_of_clips(tmp_path):
    clips = {"clip": {"length": 4, "step": 1, "every": 4, "crop": 32, "crops": 1}, "map_names": ("motion", "place")}
    told = {**vars(new_manifest(class_names=CLASSES, columns=(LOGITS, ATTENTION), map_shape=(3, 3))), **clips}
    random = np.random.default_rng(0)
    logits, attention = random.normal(size=(5, 3)), random.random((5, 2, 2, 3, 3))
    rows = {LOGITS: logits.astype(np.float32), ATTENTION: attention.astype(np.float16)}
    url = write_store(str(tmp_path / "store"), ClipManifest(**told, map_time=2), {"v": rows})
    explorer, _, setting = open_explorer(ExploreOptions(store=url))
    assert (setting.has_maps, setting.predicts) == (False, "clip_cnn")
    means = softmax(logits).mean(0)
    (listed,) = explorer.list(Query(), 0)["videos"]
    assert (listed["predicted"], listed["confidence"]) == (means.argmax(), pytest.approx(means.max(), abs=1e-4))
    np.testing.assert_allclose(explorer.frame("v", 2, ())["values"]["clip_cnn"], softmax(logits)[2], rtol=1e-4)
    np.testing.assert_allclose(explorer.curves("v", (0,))["scores"]["clip_cnn"], means, rtol=1e-4)
    found = explorer.frame("v", 2, ())["weights"]
    np.testing.assert_allclose([found["motion"], found["place"]], attention[2].mean(1), rtol=1e-2)


class VideoScorer:
    """Scorer of a kind that the explorer does not know."""

    name, columns, calibrated, definition = "other", ("logits",), False, "largest logit of the video"

    def __call__(self, rows):
        return rows.logits.max(0)


def test_a_scorer_of_another_kind_has_scores_of_videos_only(store, rows, monkeypatch):
    explorer, _, _ = open_explorer(ExploreOptions(store=store.url))
    explorer = Explorer(store, explorer.catalogue, {"cnn": CnnVote(), "other": VideoScorer()}, CLASSES)
    name = "v_Wave_g04_c01"
    found = explorer.curves(name, (0,))
    np.testing.assert_allclose(found["scores"]["other"], rows[name].logits.max(0), rtol=1e-4)
    assert list(found["curves"]) == ["cnn"]
    assert list(explorer.frame(name, 0, ())["values"]) == ["cnn"]
    assert value_name(VideoScorer()) == "score"


def test_a_store_on_s3(s3, rows):
    explorer, _, _ = open_explorer(ExploreOptions(store=write_known_store(f"{s3}/store", None)))
    assert len(explorer.list(Query(), 0)["videos"]) == len(rows)
    found = explorer.frame("v_Wave_g04_c01", 11, (1,))
    np.testing.assert_allclose(found["maps"]["1"], rows["v_Wave_g04_c01"].maps[11, 1].astype(np.float32), rtol=1e-4)


def refusal(store, *models, **told):
    with pytest.raises(UsageError) as error:
        explore(ExploreOptions(store=store.url, models=models, port=0, **told))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_models_that_do_not_fit_are_refused_before_anything_is_served(store, energynet, tmp_path):
    other = untrained("energynet", store.manifest, str(tmp_path / "other"))
    assert "was trained on a store with fingerprint abcdef0123456789" in refusal(store, other)
    net = EnergyNet(torch.randn(2, 5), (4, 4), hidden_dim=7, embedding_dim=6)
    few = TrainedEnergyNet(net, CLASSES[:2], (4, 4), store.manifest.fingerprint, {})
    save_energynet(str(tmp_path / "few"), few)
    assert f"(not in both: {CLASSES[2]}). Explore them separately." in refusal(store, str(tmp_path / "few"))
    assert "another method is called energynet. Give NAME=URL." in refusal(store, energynet, energynet)
    plain = str(tmp_path / "cnn.safetensors")
    save_checkpoint(plain, Cnn(build_backbone("small_cnn", 3), "small_cnn", CLASSES))
    assert "a CNN without a method of its own" in refusal(store, plain)
    assert "none: does not exist" in refusal(store, str(tmp_path / "none"))


def test_a_port_in_use_is_one_line(store, url):
    port = int(url.rpartition(":")[2])
    with pytest.raises(UsageError, match=rf"--port {port}: Address already in use\. Give another"):
        explore(ExploreOptions(store=store.url, port=port))
    with pytest.raises(UsageError, match=r"--port 70000: not a port"):
        explore(ExploreOptions(store=store.url, port=70000))


@pytest.mark.long
def test_ctrl_c_ends_it_cleanly(store):
    command = [sys.executable, ROOT / "jobs" / "explore.py", "--store", store.url, "--port", "0", "--quiet"]
    run = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    with subprocess.Popen(command, text=True, **run) as running:
        address = running.stdout.readline().split()[0]
        assert ask(address, "videos")["total"] == len(LENGTHS) + 1
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (0, "")
