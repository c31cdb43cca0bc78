"""Read the weights of runs, and begin another run with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from simrl.learn.checkpoint import Checkpoints
from simrl.nn.actor_critic import ActorCritic
from simrl.runs.config import run_config


def run_weights(folder: Path | str, which: str = "") -> Mapping[str, Tensor]:
    """Read the network's tensors from a run's checkpoint."""
    checkpoints = Checkpoints(Path(folder) / "checkpoints")
    if which == "best" or (which == "" and checkpoints.has_best()):
        state = checkpoints.load_best()
    elif which.isdigit():
        state = checkpoints.load(int(which))
    elif which in ("", "newest") or which.startswith("snapshot-"):
        _, state = checkpoints.load_newest()
    else:
        raise ValueError(
            f"{folder}@{which}: after @ comes best, newest, a number of agent-steps or a snapshot"
        )
    if which.startswith("snapshot-"):
        parts = state["parts"]
        keeper = parts.get("league") or parts.get("snapshots") or {}
        snapshots = keeper.get("snapshots", {})
        if which not in snapshots:
            raise ValueError(
                f"{folder} has no {which}; its snapshots are {', '.join(snapshots) or 'none'}"
            )
        return dict(snapshots[which])
    return dict(state["parts"]["learner"]["net"])


def start_from(net: ActorCritic, source: str) -> None:
    """Load the network of a run, `RUN` or `RUN@which`, into `net`.

    Where `net` has more value groups than the run had, the others start at the value 0.  ValueError
    if it is no run, or its network has other parts.
    """
    folder, _, which = source.partition("@")
    trained = run_config(folder).env
    if trained != net.spec.id:
        raise ValueError(f"{folder} was trained in {trained}, not in {net.spec.id}")
    weights, own = dict(run_weights(folder, which)), net.state_dict()
    for name in ("head.weight", "head.bias", "critic.head.weight", "critic.head.bias"):
        if name in own and name in weights:
            weights[name] = _grown(weights[name], own[name].shape, 0.0)
    if "value_scale" in weights:
        weights["value_mean"] = _grown(weights["value_mean"], own["value_mean"].shape, 0.0)
        weights["value_scale"] = _grown(weights["value_scale"], own["value_scale"].shape, 1.0)
        moments = [
            _grown(row, own["value_mean"].shape, fill)
            for row, fill in zip(weights["value_moments"], (0.0, 1.0), strict=True)
        ]
        weights["value_moments"] = torch.stack(moments)
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"the network of {source} does not fit this run's: {error}") from error


def _grown(value: Tensor, shape: torch.Size, fill: float) -> Tensor:
    """Append rows of `fill` until `value` has as many as `shape` says."""
    missing = shape[0] - value.shape[0]
    if missing <= 0:
        return value
    return torch.cat([value, value.new_full((missing, *value.shape[1:]), fill)])
