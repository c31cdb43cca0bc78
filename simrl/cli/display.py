"""Show a training run while it goes: a live panel in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from simrl.learn.loop import LoopConfig, Progress

QUIET_SECONDS = 30.0
"""Seconds between lines where the output is no terminal [s]."""


class TrainingDisplay:
    """Print the newest figures of a run; a hook of the training loop and a context manager."""

    def __init__(self, title: str, config: LoopConfig, console: Console | None = None) -> None:
        self.title = title
        self.config = config
        self.console = console or Console(emoji=False, highlight=False)
        self._live = (
            Live(console=self.console, refresh_per_second=4, transient=False)
            if self.console.is_terminal
            else None
        )
        self._printed = time.monotonic()
        self._evaluation: dict[str, float] = {}

    def __enter__(self) -> TrainingDisplay:
        """Start the live panel."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last panel standing."""
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Say what is going on before the first update."""
        if self._live is not None:
            self._live.update(Panel(text, title=self.title, expand=False))
        else:
            self.console.print(f"{self.title}: {text}")

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Show the figures; logs nothing of its own."""
        self._evaluation |= {k: v for k, v in metrics.items() if k.startswith("eval/")}
        if self._live is not None:
            self._live.update(self._panel(progress, metrics))
        elif time.monotonic() - self._printed > QUIET_SECONDS:
            self._printed = time.monotonic()
            self.console.print(self._line(progress, metrics), soft_wrap=True)
        return {}

    def _panel(self, progress: Progress, metrics: Mapping[str, float]) -> Panel:
        table = Table.grid(padding=(0, 2))
        for name, value in self._figures(progress, metrics):
            table.add_row(Text(name, style="dim"), value)
        done = metrics.get("time/fraction_done", 0.0)
        bar = ProgressBar(total=1.0, completed=done, width=48)
        return Panel(Group(bar, table), title=self.title, expand=False)

    def _figures(self, progress: Progress, metrics: Mapping[str, float]) -> list[tuple[str, str]]:
        share = {name: metrics.get(f"time/{name}_share", 0.0) for name in ("env", "act", "learn")}
        rows = [
            ("progress", f"{self._percent(metrics)}, {_clock(self._left(progress, metrics))} left"),
            (
                "agent-steps",
                f"{progress.steps:,} at {metrics.get('time/steps_per_s', 0):,.0f}/s "
                f"(env {share['env']:.0%}, act {share['act']:.0%}, learn {share['learn']:.0%})",
            ),
        ]
        if "rollout/return" in metrics:
            length = metrics.get("rollout/length", 0.0)
            rows.append(("return", f"{metrics['rollout/return']:.3g}, {length:.0f} steps long"))
        rates = {**metrics, **self._evaluation}
        for prefix, label in (
            ("league/win_rate/", "league wins"),
            ("eval/win_rate/", "evaluation"),
        ):
            found = [(k.removeprefix(prefix), v) for k, v in rates.items() if k.startswith(prefix)]
            if found:
                rows.append((label, "  ".join(f"{name} {value:.0%}" for name, value in found)))
        if "prefs/asked" in metrics:
            count = {name: f"{metrics[f'prefs/{name}']:.0f}" for name in ("asked", "answered")}
            fit = f", fits {metrics['reward/accuracy']:.0%}" if "reward/accuracy" in metrics else ""
            rows.append(("questions", f"{count['asked']} asked, {count['answered']} answered{fit}"))
        losses = [
            f"{name.removeprefix('loss/')} {metrics[name]:.3g}"
            for name in ("loss/policy", "loss/value", "loss/entropy", "loss/approx_kl")
            if name in metrics
        ]
        return [*rows, ("losses", "  ".join(losses))]

    def _line(self, progress: Progress, metrics: Mapping[str, float]) -> str:
        figures = "; ".join(f"{name} {value}" for name, value in self._figures(progress, metrics))
        return f"{self.title}: {figures}"

    @staticmethod
    def _percent(metrics: Mapping[str, float]) -> str:
        return f"{metrics.get('time/fraction_done', 0.0):.0%}"

    @staticmethod
    def _left(progress: Progress, metrics: Mapping[str, float]) -> float:
        done = metrics.get("time/fraction_done", 0.0)
        return progress.seconds * (1.0 - done) / done if done > 0 else 0.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
