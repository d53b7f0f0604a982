"""Choose: compare methods by cross-validation on the user's labelled videos and save the best one as a model file.

The comparison is a reproduction with the data set `labelled`, one split per part. The best method is then trained on
all labelled videos in the same folder, so that shared steps run once.
"""

import dataclasses
import json
import logging
from typing import Any

from attn.commands.choose_options import ChooseOptions
from attn.commands.evaluate_scores import score_videos
from attn.commands.reproduction.cell import WITHOUT_LABELS
from attn.commands.reproduction.cell_scores import CNN_OF, NAMES
from attn.commands.reproduction.data import open_data
from attn.commands.reproduction.experiment import make_steps
from attn.commands.reproduction.lists import write_lists
from attn.commands.reproduction.reproduce import EXIT_FAILED_STEPS, TABLES, reproduce, resolved, run_plan
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.datasets.protocol import Split
from attn.engine.step import Step
from attn.eval.calibration import Calibration
from attn.eval.choice import Choice, choose_method
from attn.methods import IN_MODEL_FILE
from attn.models.checkpoint import load_checkpoint
from attn.models.energynet_file import load_energynet
from attn.models.model_file import Model, save_model
from attn.report.choice_table import choice_table
from attn.stages.open_model import scorer_of
from attn.stages.scoring import CALIBRATED
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.manifest import SCORE_FIELDS
from attn.storage.store import AttentionStore

log = logging.getLogger(__name__)

COMPARE, MODEL, CHOICE = "compare", "model.safetensors", "choice.json"
FOR_MODELS = tuple(name for name in NAMES if name.removesuffix(CALIBRATED) in (*IN_MODEL_FILE, *CNN_OF))
"""Score names supported by model files."""
ALL = "all"


def choose(options: ChooseOptions) -> int:
    """Write the model file and `choice.json` and return the exit code.

    Raises:
        UsageError: flags or inputs are invalid; no step has run.
    """
    plan = comparison(options)
    if (code := reproduce(plan)) or options.dry_run:
        return code
    results = json.loads((Location.at(plan.out) / f"{TABLES}.json").read_text())
    methods = [one for one in results["methods"] if one["scores"] in FOR_MODELS]
    choice = choose_method(methods, results["pairs"], results["figure"], without_labels={*WITHOUT_LABELS})
    for line in choice_table(methods, results["pairs"], choice, results["figure"]):
        log.info("%s", line)
    plan = resolved(plan)
    winner = _Winner(plan, choice)
    if not winner.train():
        return EXIT_FAILED_STEPS
    record = {"chosen": choice.method, "best_without_labels": choice.best_free, "gain": choice.gain}
    model = dataclasses.replace(winner.model(), chosen={"method": choice.method["method"]})
    sha256 = save_model(join(options.out, MODEL), model)
    record |= {"model_sha256": sha256, "compared": methods, "options": dataclasses.asdict(options)}
    text = json.dumps(record, indent=1, ensure_ascii=False)
    (Location.at(options.out) / CHOICE).write_atomic(text.encode())
    log.info("%s: %s", choice.method["method"], join(options.out, MODEL))
    return 0


def comparison(options: ChooseOptions) -> ReproduceOptions:
    return ReproduceOptions(
        dataset="labelled",
        out=join(options.out, COMPARE),
        root=options.videos,
        labels=options.labels,
        parts=options.parts,
        images=options.images,
        web_cnn=options.weights,
        adapt=options.adapt,
        adapt_to="all",
        fractions=(1.0,),
        seeds=(options.seed,),
        frame_epochs=options.epochs,
        energynet=options.energynet,
        word_vectors=options.word_vectors,
        aggregation=options.aggregation,
        map_source=options.map_source,
        folds=options.folds,
        allow_missing=options.allow_missing,
        max_failed_fraction=options.max_failed_fraction,
        image_free=False,
        stride=options.stride,
        actors=options.actors,
        side_by_side=options.side_by_side,
        dry_run=options.dry_run,
    )


class _Winner:
    """Training of the chosen method on all labelled videos.

    Args:
        plan: resolved options of the comparison.
        choice: chosen method.
    """

    def __init__(self, plan: ReproduceOptions, choice: Choice):
        self.plan, self.trained_on, self.scores = plan, choice.method["trained_on"], choice.method["scores"]
        benchmark = open_data(plan)
        self.labels = benchmark.labels
        self.benchmark = dataclasses.replace(benchmark, splits=(Split(ALL, self.labels, {}),))
        self.steps = {step.name: step for step in make_steps(self.benchmark, plan)[0]}
        self.root = f"{choice.method['backbone']}/seed{plan.seeds[0]}"

    @property
    def maps(self) -> Step:
        """Step that computes the maps to be scored."""
        cnn = CNN_OF.get(self.scores, self.trained_on)
        folder = cnn if cnn in WITHOUT_LABELS else f"{ALL}/{cnn}"
        return self.steps[f"{self.root}/{folder}/maps"]

    @property
    def energynet(self) -> Step | None:
        """Step that trains the EnergyNet; None for methods without one."""
        nets = [step for step in self.steps.values() if step.job == "train_energynet"]
        matching = [step for step in nets if step.options.store == self.maps.options.out]
        return matching[0] if self.scores.removesuffix(CALIBRATED) in ("energynet", *CNN_OF) else None

    def train(self) -> bool:
        """Run the missing steps and return whether all succeeded."""
        write_lists(self.benchmark, self.plan)
        target = self.energynet or self.maps
        return not run_plan(_needed(self.steps, target), self.plan).failed

    def model(self) -> Model:
        """Content of the model file."""
        store = AttentionStore.open(self.maps.options.out)
        net = self.energynet and load_energynet(self.energynet.options.out)
        model = Model(
            load_checkpoint(self.maps.options.weights),
            self.scores.removesuffix(CALIBRATED) if net is None else "energynet",
            store.manifest.of(SCORE_FIELDS),
            energynet=net,
            trained_on=() if self.trained_on in WITHOUT_LABELS else tuple(sorted(self.labels)),
        )
        if not self.scores.endswith(CALIBRATED):
            return model
        return dataclasses.replace(model, calibration=_calibration(model, store))


def _calibration(model: Model, store: AttentionStore) -> dict[str, Any]:
    """Calibration record computed on all videos of a store that the model was not trained on."""
    scorer, videos = scorer_of(model), sorted(set(store.video_ids) - set(model.trained_on))
    scored = score_videos(store, (scorer,), {}, calibrating=set(videos))
    return Calibration.fit(scored.of(scorer.name, videos)).as_record()


def _needed(steps: dict[str, Step], target: Step) -> list[Step]:
    """Step with all its direct and indirect requirements, in plan order."""
    names, todo = set[str](), [target.name]
    while todo:
        name = todo.pop()
        names.add(name)
        todo += steps[name].needs
    return [step for name, step in steps.items() if name in names]
