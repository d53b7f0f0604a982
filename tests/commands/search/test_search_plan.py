"""Settings of a resumed search that began before recipes were introduced."""

import json
from pathlib import Path

import pytest

from attn.commands.search.search_plan import SEARCH, open_search
from attn.commands.train_energynet_plan import with_config
from attn.errors import UsageError
from attn.training.energy_config import WITH_RECIPES, EnergyConfig
from attn.training.search_options import SearchOptions
from attn.training.search_space import Range
from attn.training.trial_records import Trial, write_trial

SPACE = {"all": {"lr": Range(1e-5, 1e-2, log=True)}}


@pytest.fixture
def options(planted, tmp_path):
    out = str(tmp_path / "search")
    return SearchOptions(store=str(planted / "store"), split=str(planted / "train.txt"), out=out, resume=True)


def test_a_search_begun_before_there_were_recipes_resumes_with_its_settings(options):
    """Its trials resume with these settings too, because their records do not name a recipe."""
    write_trial(options.out, Trial(1, {"lr": 1e-4}, {"lr": 1e-4}, status="finished", objective=0.5))
    with pytest.raises(UsageError), open_search(options, SPACE):  # search.json is missing
        pass
    with open_search(SearchOptions(**{**vars(options), "out": f"{options.out}-new"}), SPACE) as new:
        pass
    today = json.loads(Path(new.options.out, SEARCH).read_text())["decisive"]
    old = {key: value for key, value in today.items() if key not in WITH_RECIPES} | {
        "weight_decay": 5e-4,
        "updates": 20_000,
        "look_every": 500,
    }
    Path(options.out, SEARCH).write_text(json.dumps({"decisive": old}))
    with open_search(options, SPACE) as plan:
        assert {name: getattr(plan.options, name) for name in EnergyConfig.RECIPES["paper"]} == EnergyConfig.RECIPES[
            "paper"
        ]
        assert plan.training.options == plan.options
        trial, _ = with_config(
            plan.training.run, plan.training.job, SearchOptions(**{**vars(plan.options), "lr": 0.005})
        )
    assert trial.decisive["lr"] == 0.005
    assert not set(WITH_RECIPES) & trial.decisive.keys()
