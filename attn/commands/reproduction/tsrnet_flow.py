"""Checks of the flow stream of TSRNet's tables, and its settings in a folder of tables."""

import dataclasses
import math

from attn.commands.reproduction.plan_file import read_plan
from attn.commands.reproduction.reproduce_options import TsrnetTablesOptions
from attn.errors import UsageError, refuse_flag
from attn.models.backbone import build_backbone, network_input
from attn.models.flow_input import FlowInput
from attn.stages.flow.compute import open_flow_model
from attn.stages.flow.stacks import LENGTH
from attn.storage.location import Location


def with_earlier_flow(options: TsrnetTablesOptions) -> TsrnetTablesOptions:
    """Options with the flow stream of an earlier run into the folder, if they name none."""
    earlier = _earlier(options)
    if options.flow is None and earlier:
        return dataclasses.replace(options, **earlier)
    weights = options.flow_weights
    if weights is not None and "." in weights:  # a file; torchvision's names of weights have no dot
        return dataclasses.replace(options, flow_weights=Location.at(weights).absolute)
    return options


def check_flow_unchanged(options: TsrnetTablesOptions) -> None:
    """Refuse another flow stream than that of the folder.

    Raises:
        UsageError: a setting differs.
    """
    for name, before in _earlier(options).items():
        if before != (now := getattr(options, name)):
            raise UsageError(
                f"--{name.replace('_', '-')} {now}: {options.out} was made with {before}. Choose another --out."
            )


def check_flow(options: TsrnetTablesOptions) -> None:
    """Check the algorithm, its package or weights, and that the CNN can take flow; nothing is checked without a stream.

    Raises:
        UsageError: a package or weights are missing, the size does not suit the algorithm, or the CNN takes images
            only.
    """
    refuse_flag("theta", options.theta, "must be from 0 to 1", not 0 <= options.theta <= 1)
    for name in ("flow_lr", "flow_cnn_lr"):
        lr = getattr(options, name)
        refuse_flag(name, lr, "must be above 0", lr is not None and not 0 < lr < math.inf)
    if options.flow is None:
        refuse_flag("flow_weights", options.flow_weights, "needs --flow", options.flow_weights is not None)
        return
    backbone = str(options.backbone)
    try:
        open_flow_model(options.flow, options.flow_weights, size=options.input_size or network_input(backbone).size)
    except UsageError as error:
        text = str(error).replace("--weights", "--flow-weights").replace("--algorithm", "--flow")
        raise UsageError(text) from error
    build_backbone(backbone, 2, FlowInput(LENGTH, {}).channels)


def _earlier(options: TsrnetTablesOptions) -> dict[str, object]:
    """Settings of the flow stream of the folder; empty if it has none."""
    before = (read_plan(options.out) or {}).get("options", {})
    return {name: before.get(name) for name in options.OF_FLOW} if before.get("flow") else {}
