"""Write the figures of a run where people look: JSON lines, TensorBoard, Weights & Biases."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simrl.core.files import write_atomic


class MetricsWriter:
    """Append metrics to `metrics.jsonl` and TensorBoard, and to Weights & Biases if asked.

    On resume, lines past `from_step` are dropped: they were written after the checkpoint.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        from_step: int = 0,
        use_wandb: bool = False,
        name: str = "simrl",
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / "metrics.jsonl"
        if self.path.exists():
            kept = [line for line in read_metrics(self.folder) if line["step"] <= from_step]
            write_atomic(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = self.path.open("a", buffering=1)
        # TensorBoard hides what an earlier process wrote from this step on.
        board = str(self.folder / "tensorboard")
        self._board = SummaryWriter(board, purge_step=from_step + 1)
        self._wandb = _start_wandb(self.folder, name) if use_wandb else None

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write one line of figures reached after `step` agent-steps."""
        clean = {name: float(value) for name, value in metrics.items()}
        finite = {name: value for name, value in clean.items() if math.isfinite(value)}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        for name, value in finite.items():
            self._board.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(finite, step=step)

    def close(self) -> None:
        """Flush and close every sink."""
        self._file.close()
        self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def read_metrics(folder: Path | str) -> list[dict[str, Any]]:
    """Read the metrics of a run, oldest first; a last line cut short by a kill is left out."""
    return read_records(Path(folder) / "metrics.jsonl", cut_short=True)


def read_records(path: Path, *, cut_short: bool = False) -> list[dict[str, Any]]:
    """Read JSON lines that each hold a "step"; no lines where there is no file.

    With `cut_short` a last line that is not whole is left out.  ValueError names file and line.
    """
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    result: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            if cut_short and number == len(lines):
                break
            raise ValueError(f"{path}: line {number} is damaged: {error}") from error
        if not isinstance(record, dict) or "step" not in record:
            raise ValueError(f"{path}: line {number} is damaged: it has no step")
        result.append(record)
    return result


def _start_wandb(folder: Path, name: str) -> Any:
    if find_spec("wandb") is None:
        raise ValueError("Weights & Biases is not installed: pip install 'simrl[wandb]'")
    import wandb

    return wandb.init(project="simrl", name=name, dir=str(folder), resume="allow")
