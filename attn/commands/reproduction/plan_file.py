"""Record of a plan in the output folder: options and steps. Settings of a folder must not change."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

from attn.commands.reproduction.reproduce_options import PLAN, TablesOptions
from attn.engine.step import Step
from attn.errors import UsageError
from attn.storage.location import Location


def read_plan(out: str) -> dict[str, Any] | None:
    """Content of the plan in an output folder; None if there is none."""
    plan = Location.at(out) / PLAN
    return json.loads(plan.read_text()) if plan.exists() else None


def with_earlier(options: Any, known: Iterable[str]) -> tuple[str, ...]:
    """Variants of the tables: those of `--variants` and of earlier runs into the folder, in the order of all.

    Args:
        options: options with `out` and `variants`. Variants that are empty or appear twice stay, to be refused.
        known: all variants.
    """
    given = options.variants
    if not given or len(set(given)) < len(given):
        return given
    earlier = (read_plan(options.out) or {}).get("options", {}).get("variants", ())
    return tuple(one for one in known if one in given or one in earlier)


def write_plan(options: TablesOptions, steps: Sequence[Step], **more: Any) -> None:
    """Write the plan, with further entries."""
    plan = {"options": dataclasses.asdict(options), "steps": [dataclasses.asdict(step) for step in steps], **more}
    write_text(options.out, PLAN, json.dumps(plan, indent=1, ensure_ascii=False))


def write_text(out: str, name: str, text: str) -> None:
    """Write a file in an output folder; it appears complete or not at all."""
    (Location.at(out) / name).write_atomic(text.encode())


def check_unchanged(options: TablesOptions, group: str) -> None:
    """Refuse settings that differ from those of the plan in `--out`, before each finished step would refuse them.

    Args:
        options: resolved options.
        group: field with the settings of the trainings, whose seeds may change.

    Raises:
        UsageError: a setting differs, or the folder has tables of another paper.
    """
    plan = read_plan(options.out)
    if plan is None:
        return
    before, now = plan["options"], json.loads(json.dumps(dataclasses.asdict(options)))
    pairs = [("--paper", before.get("paper", "attention_transfer"), now["paper"])]
    pairs += [(f"--{name}", before.get(name, now.get(name)), now.get(name)) for name in options.SETTLED]
    pairs += [
        (f"--{group}.{name}", before.get(group, {}).get(name, value), value)
        for name, value in now[group].items()
        if name != "seed"
    ]
    for flag, old, new in pairs:
        if old != new:
            raise UsageError(
                f"{flag.replace('_', '-')} {_shown(new)}: {options.out} was made with {_shown(old)}. Choose another "
                "--out."
            )


def _shown(value: Any) -> str:
    if value is None:
        return "(left out)"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
