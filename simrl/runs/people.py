"""What a run needs to ask people: the store, the clips, who draws them, and the page beside it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from simrl.core.spec import EnvSpec
from simrl.learn.loop import Progress, TrainingLoop
from simrl.preferences.clips.cut import ClipSource
from simrl.preferences.clips.library import ClipLibrary
from simrl.preferences.clips.pool import RenderPool
from simrl.preferences.collect_loop import PreferenceLoop, QueryConfig
from simrl.preferences.people import PeopleAnswers
from simrl.preferences.store import LabelStore
from simrl.rollout.seating import Seating
from simrl.runs.config import TrainConfig
from simrl.runs.page import PageConfig

LABELS_FILE: Final = "labels.db"
"""Name of the store of questions and answers in a run's folder."""
WAIT_SECONDS: Final = 0.5
"""Time between two looks for the answers that training waits for [s]."""


class People:
    """Own the store, the clips and the page of a run that asks people.

    Attributes:
        answers: Where the run's questions go and its answers come from.
    """

    def __init__(
        self,
        config: TrainConfig,
        spec: EnvSpec,
        folder: Path,
        queries: QueryConfig,
        *,
        prompt: str = "",
    ) -> None:
        """Open the store and the library in the run's `folder`.

        Args:
            config: The training run.
            spec: Its environment, as it is registered.
            folder: The run's folder.
            queries: What is asked.
            prompt: What the page says above the clips; empty: its own words.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.store = LabelStore.open(folder / LABELS_FILE)
        self.library = ClipLibrary(folder)
        self.renderer = RenderPool(self.library, workers=1)
        source = ClipSource(spec, config.env_options, config.seed)
        self.answers = PeopleAnswers(
            self.store,
            self.library,
            source,
            segment=queries.segment,
            batch=folder.resolve().name,
            prompt=prompt,
            keep=queries.needed_segments,
        )
        self.answers.submit = self.renderer.submit
        self._page: BaseProcess | None = None

    def attach(self, run: TrainingLoop, preferences: PreferenceLoop, seating: Seating) -> None:
        """Tell who sits where in the clips, and let the run wait for its first answers."""
        self.answers.policies = lambda row: [
            seating.names[int(policy)] for policy in seating.policy_index[row]
        ]
        run.hooks.append(WaitForPeople(preferences, run))

    def serve(self, page: PageConfig) -> str:
        """Serve the labelling page in a process of its own and return its address.

        ValueError if the address is open to others and nobody has an account.
        """
        check_page(page, self.folder)
        # What a run that was killed had still to draw; the rest is there and not drawn again.
        waiting = self.store.questions("compare", "open")
        self.renderer.submit([clip for question in waiting for clip in question.clips])
        context = multiprocessing.get_context("spawn")
        self._page = context.Process(
            target=_serve, args=(self.store.url, str(self.library.folder), page), daemon=True
        )
        self._page.start()
        return f"http://{page.host}:{page.port}"

    def close(self) -> None:
        """Stop the page and the drawing, and close the store."""
        if self._page is not None and self._page.is_alive():
            self._page.terminate()
            self._page.join(5.0)
        self.renderer.close()
        self.store.close()


def check_page(page: PageConfig, folder: Path) -> None:
    """Raise ValueError if others would reach the page of a run where nobody has an account."""
    from simrl.preferences.web.server import is_loopback

    if is_loopback(page.host):
        return
    file = folder / LABELS_FILE
    if file.is_file():
        with LabelStore.open(file) as store:
            if store.users():
                return
    raise ValueError(
        f"nobody has an account yet, so the page is served on 127.0.0.1 only, not on {page.host}: "
        f"first mkdir -p {folder}, then simrl label add-user NAME --db {folder}"
    )


class WaitForPeople:
    """Hold a training loop until enough questions are answered; a hook of the loop.

    The time is not counted as training.
    """

    def __init__(self, preferences: PreferenceLoop, loop: TrainingLoop) -> None:
        self.preferences, self.loop = preferences, loop

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Sleep and look for answers, until there are enough or the run is to stop.

        The first checkpoint is written before: without one, a run that dies could not be resumed,
        and what people had answered by then would be lost to it.
        """
        checkpoints = self.loop.checkpoints
        if checkpoints is not None and not checkpoints.steps():
            self.loop.save()
        while self.preferences.waits and not self.loop.stop():
            time.sleep(WAIT_SECONDS)
            self.preferences.learn()
        return {}


def _serve(url: str, folder: str, page: PageConfig) -> None:
    """Run the page; end with the program that started it, however that ends."""
    from simrl.preferences.web import WebConfig, create_app, serve

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for training, which then ends this
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    config = WebConfig(kinds=("compare",), metrics="shown" if page.metrics else "hidden")
    serve(create_app(LabelStore.open(url), ClipLibrary(folder), config), page.host, page.port)


def _end_with(parent: int) -> Any:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)
