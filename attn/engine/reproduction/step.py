"""One call of a job, one start of a fine-tuning, one set of scores: what a plan of experiments is made of."""

import dataclasses
from typing import Any, NamedTuple

WEB, ADAPTED, NO_IMAGE, FRAMES = "web", "adapted", "noimage", "frames"


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a job.

    Attributes:
        name: path of what it makes, below the output folder.
        job: name of the job, and of its script.
        options: of that job.
        needs: names of the steps before it.
    """

    name: str
    job: str
    options: Any
    needs: tuple[str, ...] = ()


class Start(NamedTuple):
    """Weights that a fine-tuning starts from.

    Attributes:
        weights: URL, `imagenet`, or None for random ones.
        needs: names of the steps that make them.
        mixed: URL of the Web images that they have learnt, if the fine-tuning learns them beside the frames.
    """

    weights: str | None
    needs: tuple[str, ...] = ()
    mixed: str | None = None


@dataclasses.dataclass(frozen=True)
class Cell:
    """One set of scores: of one CNN on the test videos of one split.

    Attributes:
        backbone: of the CNN.
        seed: of everything in it.
        split: name.
        trained_on: `web`, `adapted`, `noimage`, or the percentage of the training videos, three digits;
            `adapted-<percentage>` if only the EnergyNet has learnt from them.
        scores: name of the step that makes them.
    """

    backbone: str
    seed: int
    split: str
    trained_on: str
    scores: str
