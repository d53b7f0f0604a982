"""Transfer from trimmed videos of another domain, when few untrimmed videos have labels."""

import json

import numpy as np
import pytest

from attn.commands.detect import detect
from attn.commands.detect_options import DetectOptions
from attn.commands.train_tsrnet import train_tsrnet
from attn.schema import FEATURES
from attn.training.tsrnet_options import TrainTsrnetOptions
from tests import untrimmed_stores
from tests.stores import write_store
from tests.untrimmed_stores import CHANNELS, CLASSES, manifest_of, plant

LABELLED, TESTED = 5, 60
SMALL = {
    "attention_dim": 16,
    "hidden_dim": 16,
    "dropout": 0.2,
    "num_samples": 40,
    "lr": 0.05,
    "batch": 8,
    "updates": 300,
    "look_every": 300,
    "holdout_fraction": 0.0,
    "allow_untrained": True,
    "cpus_per_worker": 1,
}


def faint_features(random, count, actions):
    """Features as those of `planted_features`, with actions as strong as the noise."""
    values = np.abs(random.normal(scale=0.6, size=(count, CHANNELS)))
    values[:, 0] += 1
    for label, start, stop in actions:
        values[start:stop, 0] -= 1
        values[start:stop, 3 + label] += 1
    return values


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    """Untrimmed videos, of which five have labels, and trimmed ones whose features are 1.3 times as large, plus 2."""
    folder, random = tmp_path_factory.mktemp("domains"), np.random.default_rng(7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(untrimmed_stores, "planted_features", lambda *told: faint_features(*told).astype(np.float16))
        plant(folder, videos=LABELLED + TESTED)
    header, *lines = (folder / "labels.csv").read_text().splitlines(keepends=True)
    first = f"untrimmed_{LABELLED:03}"
    (folder / "few.csv").write_text("".join([header, *(line for line in lines if line < first)]))
    (folder / "rest.csv").write_text("".join([header, *(line for line in lines if line >= first)]))
    trimmed = {
        f"v_{CLASSES[i % 3]}_g{i // 3 + 1:02}_c01": {
            FEATURES: (1.3 * faint_features(random, 6, [(i % 3, 0, 6)]) + 2).astype(np.float16)
        }
        for i in range(30)
    }
    write_store(str(folder / "trimmed"), manifest_of(), trimmed)
    (folder / "trimmed.txt").write_text("".join(f"{one.split('_')[1]}/{one}.avi\n" for one in trimmed))
    return folder


def recognition(folder, name, **settings):
    """Mean average precision of a new network on the other untrimmed videos."""
    store, out = str(folder / "store"), str(folder / name)
    given = {"store": store, "labels": str(folder / "few.csv"), "out": out}
    assert train_tsrnet(TrainTsrnetOptions(**given, **SMALL, **settings)) == 0
    labels, found = str(folder / "rest.csv"), str(folder / f"{name}-found")
    assert detect(DetectOptions(store=(store,), model=(out,), labels=labels, out=found)) == 0
    with open(f"{found}/metrics.json") as file:
        return json.load(file)["methods"]["tsrnet"]["map_noninterpolated"]["value"]


@pytest.mark.long
def test_transfer_gains_on_another_domain_with_few_labels(domains):
    trimmed = {"trimmed": str(domains / "trimmed"), "trimmed_split": str(domains / "trimmed.txt")}
    for seed in (0, 1):
        alone = recognition(domains, f"srnet{seed}", seed=seed)
        assert recognition(domains, f"tsrnet{seed}", seed=seed, transfer=0.1, trimmed_ce=True, **trimmed) > alone + 0.1
