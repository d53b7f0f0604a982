"""One trial: `train_energynet` with other settings, on maps that lie in the object store.

With one worker it runs in the trial's own process; with several on a Ray Train group of its own. Either way its folder
is a training's as `train_energynet` leaves it, and a trial that was killed goes on from its last state.
"""

import contextlib
import dataclasses
import os
import time
from typing import Any

import torch
from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from attn.engine.placement import cluster_totals, living_nodes
from attn.engine.training.board import Row
from attn.engine.training.diverged import DivergedError
from attn.engine.training.driver import finished, fit_and_finish
from attn.engine.training.energynet import EnergyTraining
from attn.engine.training.energynet_learner import EnergyLearner
from attn.engine.training.energynet_maps import DEVICE_SHARE, on_device
from attn.engine.training.energynet_plan import EnergyJob, with_config
from attn.engine.training.energynet_rows import ACCURACY, KEPT_SHORTFALL, SHORTFALL
from attn.engine.training.events import EventFile
from attn.engine.training.group import Group
from attn.engine.training.keeper import AllDamagedError, FolderKeeper
from attn.engine.training.loop import TrainingLoop
from attn.engine.training.placement import place_workers
from attn.engine.training.run import TrainRun
from attn.engine.training.shared_maps import SharedMaps
from attn.engine.training.storage import check_storage
from attn.engine.tuning.records import trial_url
from attn.engine.tuning.searcher import AGAIN, DAMAGED, DIVERGED, ENDED, OBJECTIVE, REFUSED
from attn.errors import UsageError
from attn.stages.energy_training import TrainingMaps
from attn.stages.map_bank import MapBank
from attn.storage.manifest import Manifest

STOPPING_S = 300


@dataclasses.dataclass(frozen=True)
class TrialSetup:
    """What all trials of a search have in common.

    Attributes:
        out: URL of the search.
        run, job: a training with the settings that are not searched.
        manifest: of the store.
        maps: of its videos.
        gpus: of a trial of one worker.
    """

    out: str
    run: TrainRun
    job: EnergyJob
    manifest: Manifest
    maps: SharedMaps
    gpus: float


def run_trial(config: dict[str, Any], setup: TrialSetup) -> None:
    """The function that Ray Tune runs.

    Args:
        config: `number` and `point` of the trial.
        setup: of the search.
    """
    # A trial that is stopped may still be writing; Ray gives its process to the next one only after that.
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = str(STOPPING_S)
    url = trial_url(setup.out, config["number"])
    options = dataclasses.replace(setup.job.options, out=url, **config["point"])
    run, job = with_config(setup.run, setup.job, options)
    try:
        check_storage(url)
        report = run.report()
        if report is None:
            run.begin({"options": dataclasses.asdict(options)})
            _drop_damaged(run)
            row = (_on_ray_train if options.workers > 1 else _in_this_process)(run, job, setup)
        else:  # but killed before that was recorded
            for row in run.metrics():
                tune.report(row | {AGAIN: True})
            row = {"update": report["updates"], OBJECTIVE: report[ACCURACY], KEPT_SHORTFALL: report[SHORTFALL]}
    except DivergedError as error:
        row = {OBJECTIVE: 0.0, DIVERGED: str(error)}
    except UsageError as error:
        row = {OBJECTIVE: 0.0, REFUSED: str(error)}
    tune.report(row | {ENDED: True})


def _drop_damaged(run: TrainRun) -> None:
    """A trial without a good state is trained again: no one should have to mend one of many by hand."""
    keeper = FolderKeeper(run.states)
    try:
        keeper.newest()
    except AllDamagedError:
        run.drop_states()
        tune.report({OBJECTIVE: 0.0, DAMAGED: f"{'; '.join(keeper.damaged)}; it is trained again"})


class _Teller:
    """Metrics into the trial's folder, and a report to Ray Tune, with every look."""

    def __init__(self, run: TrainRun, events: EventFile):
        self._run, self._events = run, events
        self._told, self._before = 0, len(run.metrics())
        self._damaged: dict[str, str] = {}

    def note(self, text: str) -> None:
        """No one looks at a single trial."""

    def pin(self, **changes: Any) -> None:
        """Metrics of all looks; those before a kill are told to Ray Tune again, which may have forgotten them."""
        rows = changes.get("rows", [])
        if changes.get("damaged"):
            self._damaged = {DAMAGED: f"{'; '.join(changes['damaged'])}; the state before it is taken"}
        if len(rows) <= self._told:
            return
        self._run.write_metrics(rows)
        for row in rows[max(self._told, self._before) :]:
            self._events.add(row, step=row["update"])
        for row in rows[self._told :]:
            self._told += 1
            again = {AGAIN: True} if self._told <= self._before else {}
            tune.report(row | again | self._damaged)
            self._damaged = {}


def _in_this_process(run: TrainRun, job: EnergyJob, setup: TrialSetup) -> Row:
    """Trains to the end; the last row.

    Raises:
        UsageError: why there was no more.
    """
    started_s = time.monotonic()
    device = torch.device("cuda" if setup.gpus and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)  # the network is so small that a second one costs more than it brings
    bank, validation = setup.maps.banks(job)
    placed, shared = _placed(bank, device, setup.gpus), setup.maps
    maps = TrainingMaps(placed, device, known_squares=shared.squares, known_windows=shared.windows)
    with contextlib.closing(EventFile(run.url)) as events:
        teller = _Teller(run, events)
        learner = EnergyLearner(job, maps, validation, Group.alone(device), teller.note)
        loop = TrainingLoop(learner, teller, FolderKeeper(run.states), run_url=job.run_url)
        why = loop.run()
    if why is not None:
        raise why
    finished(EnergyTraining(run, job, setup.manifest), learner.state(loop.rows), time.monotonic() - started_s)
    return loop.rows[-1]


def _placed(bank: MapBank, device: torch.device, gpus: float) -> MapBank:
    """On the GPU if the maps fit into the trial's share of it: trials that start together all see it empty."""
    if device.type != "cuda":
        return bank
    torch.cuda.empty_cache()  # of the trial that this process had before
    room = DEVICE_SHARE * gpus * torch.cuda.mem_get_info(device)[1]
    return on_device(bank, device) if bank.maps.nbytes <= room else bank


def _on_ray_train(run: TrainRun, job: EnergyJob, setup: TrialSetup) -> Row:
    """The same with several workers."""
    started_s, options = time.monotonic(), job.options
    placement = place_workers(options.workers, options.gpu, cluster_totals(), living_nodes(), most_cpus=1)
    training = EnergyTraining(run, job, setup.manifest, {"maps": setup.maps})
    fit_and_finish(training, placement, started_s, [TuneReportCallback()])
    return run.metrics()[-1]
