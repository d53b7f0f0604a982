"""Trial of a search: an EnergyNet training with the trial's settings, on maps in Ray's object store.

A trial of one worker trains in its own process, a trial of several workers with Ray Train. In both cases, its folder
has the same files as one of `train_energynet`, and a trial that was killed resumes from its last checkpoint.
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
from attn.engine.training.checkpoints import AllDamagedError, CheckpointFolder
from attn.engine.training.diverged import DivergedError
from attn.engine.training.driver import finished, fit_and_finish
from attn.engine.training.energynet import EnergyTraining
from attn.engine.training.energynet_learner import EnergyLearner
from attn.engine.training.energynet_maps import DEVICE_SHARE, on_device
from attn.engine.training.energynet_plan import EnergyJob, with_config
from attn.engine.training.energynet_rows import ACCURACY, KEPT_SHORTFALL, SHORTFALL
from attn.engine.training.events import EventFile
from attn.engine.training.group import Group
from attn.engine.training.loop import TrainingLoop
from attn.engine.training.placement import place_workers
from attn.engine.training.run import TrainRun
from attn.engine.training.shared_maps import SharedMaps
from attn.engine.training.status import Row
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
    """Inputs shared by all trials of a search.

    Attributes:
        out: URL of the search.
        run, job: training with the settings that are not searched.
        manifest: manifest of the store.
        maps: attention maps of the store's videos.
        gpus: GPUs per trial of one worker.
    """

    out: str
    run: TrainRun
    job: EnergyJob
    manifest: Manifest
    maps: SharedMaps
    gpus: float


def run_trial(config: dict[str, Any], setup: TrialSetup) -> None:
    """Train one trial and report its validations: Ray Tune's trainable.

    Args:
        config: `number` and `point` of the trial.
        setup: inputs shared by all trials.
    """
    # A stopped trial may still be writing; with this timeout, Ray waits before it reuses the process.
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
        else:  # the trial had finished, but the search was killed before recording it
            for row in run.metrics():
                tune.report(row | {AGAIN: True})
            row = {"update": report["updates"], OBJECTIVE: report[ACCURACY], KEPT_SHORTFALL: report[SHORTFALL]}
    except DivergedError as error:
        row = {OBJECTIVE: 0.0, DIVERGED: str(error)}
    except UsageError as error:
        row = {OBJECTIVE: 0.0, REFUSED: str(error)}
    tune.report(row | {ENDED: True})


def _drop_damaged(run: TrainRun) -> None:
    """Delete the checkpoints if all are damaged, so that the trial restarts without manual repair."""
    checkpoints = CheckpointFolder(run.states)
    try:
        checkpoints.newest()
    except AllDamagedError:
        run.drop_states()
        tune.report({OBJECTIVE: 0.0, DAMAGED: f"{'; '.join(checkpoints.damaged)}; the trial restarts from scratch"})


class _Teller:
    """Write each validation to the metrics of the trial and report it to Ray Tune, in place of a `StatusWriter`."""

    def __init__(self, run: TrainRun, events: EventFile):
        self._run, self._events = run, events
        self._told, self._before = 0, len(run.metrics())
        self._damaged: dict[str, str] = {}

    def note(self, text: str) -> None:
        """Ignore notes about progress: the search does not show those of single trials."""

    def update(self, **changes: Any) -> None:
        """Write and report new validations.

        After resuming, all earlier validations are reported again, because Ray Tune may not have saved them.
        """
        rows = changes.get("rows", [])
        if changes.get("damaged"):
            self._damaged = {DAMAGED: f"{'; '.join(changes['damaged'])}; resuming from an older checkpoint"}
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
    """Train a trial of one worker to the end, and return its last row of metrics.

    Raises:
        UsageError: the training cannot continue.
    """
    started_s = time.monotonic()
    device = torch.device("cuda" if setup.gpus and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)  # the network is so small that a second thread slows it down
    bank, validation = setup.maps.banks(job)
    placed, shared = _placed(bank, device, setup.gpus), setup.maps
    maps = TrainingMaps(placed, device, known_squares=shared.squares, known_windows=shared.windows)
    with contextlib.closing(EventFile(run.url)) as events:
        teller = _Teller(run, events)
        learner = EnergyLearner(job, maps, validation, Group.alone(device), teller.note)
        loop = TrainingLoop(learner, teller, CheckpointFolder(run.states), run_url=job.run_url)
        why = loop.run()
    if why is not None:
        raise why
    finished(EnergyTraining(run, job, setup.manifest), learner.state(loop.rows), time.monotonic() - started_s)
    return loop.rows[-1]


def _placed(bank: MapBank, device: torch.device, gpus: float) -> MapBank:
    """Move the maps to the GPU if they fit into the trial's share of its memory.

    The free memory does not show this: trials that start at the same time all see an empty GPU.
    """
    if device.type != "cuda":
        return bank
    torch.cuda.empty_cache()  # memory of the previous trial in this process
    room = DEVICE_SHARE * gpus * torch.cuda.mem_get_info(device)[1]
    return on_device(bank, device) if bank.maps.nbytes <= room else bank


def _on_ray_train(run: TrainRun, job: EnergyJob, setup: TrialSetup) -> Row:
    """Train a trial of several workers to the end, and return its last row of metrics."""
    started_s, options = time.monotonic(), job.options
    placement = place_workers(options.workers, options.gpu, cluster_totals(), living_nodes(), most_cpus=1)
    training = EnergyTraining(run, job, setup.manifest, {"maps": setup.maps})
    fit_and_finish(training, placement, started_s, [TuneReportCallback()])
    return run.metrics()[-1]
