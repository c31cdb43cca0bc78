"""Begin a run in a folder, or go on in one: what every kind of run does alike."""

from __future__ import annotations

from pathlib import Path

from simrl.learn.loop import Loop
from simrl.learn.metrics import MetricsWriter
from simrl.runs.config import is_run
from simrl.runs.evaluation import drop_evaluations_after


def refuse_used(folder: Path) -> None:
    """Raise ValueError if `folder` holds a run already."""
    if is_run(folder):
        raise ValueError(
            f"{folder} holds a run already; continue it with --resume {folder}, or choose another"
        )


def restore_newest(loop: Loop, folder: Path) -> None:
    """Put a loop where its newest whole checkpoint was, and forget evaluations after it.

    ValueError if the folder holds no whole checkpoint, or one of another network.
    """
    if loop.checkpoints is None or not loop.checkpoints.steps():
        raise ValueError(f"{folder} holds no checkpoint; start it anew in another folder")
    step, state = loop.checkpoints.load_newest()
    try:
        loop.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"checkpoint {step} of {folder} does not fit its config: {error}"
        ) from error
    drop_evaluations_after(folder, loop.progress.steps)


def open_writer(loop: Loop, folder: Path, *, use_wandb: bool) -> None:
    """Let a loop write its metrics into the folder, after those that are there."""
    loop.writer = MetricsWriter(
        folder, from_step=loop.progress.steps, use_wandb=use_wandb, name=folder.name
    )
