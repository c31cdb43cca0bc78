"""Measure how fast reward models are trained, against the `imitation` package where it is given.

Both sides fit 32x32 networks on pairs of segments of 50 steps (3 observations, 1 action), 32 pairs
a minibatch, one torch thread: one network, and an ensemble of 3.  A pair counts once however many
members see it.  The sides are measured in short turns, so that what else runs on the machine slows
both: the best turn counts as the speed, and the median over the turns as the ratio.

imitation pins old versions of its requirements, so it needs an environment of its own:

    python -m venv /tmp/imitation && /tmp/imitation/bin/pip install imitation==1.0.1
    python scripts/bench/reward_model_speed.py [--json] [--imitation /tmp/imitation/bin/python]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from report import add_json_flag, report

from simrl.core.actions import ContinuousActions
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.preferences.dataset import PreferenceData
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig
from simrl.preferences.reward_training import RewardTrainer, RewardTrainerConfig
from simrl.preferences.segment import SegmentBatch

PAIRS, SEGMENT, BATCH = 512, 50, 32
OUR_EPOCHS = {1: 16, 3: 8}
ROUNDS = 12
BARS = {"pairs_per_s": 12_000, "pairs_per_s_ensemble3": 8_000}
SUFFIX = {1: "", 3: "_ensemble3"}
HINT = "imitation: n/a (give --imitation PYTHON of an environment with imitation==1.0.1)"
Fit = Callable[[int], float]


def main() -> None:
    """Measure one network and an ensemble on both sides and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imitation", metavar="PYTHON", help="interpreter that has imitation")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each side")
    add_json_flag(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ours = {members: our_fit(members) for members in SUFFIX}
    peer = None if options.imitation is None else start_peer(options.imitation)
    figures: dict[str, float] = {}
    speeds: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for members, fit in ours.items():
            epochs = OUR_EPOCHS[members]
            speeds.setdefault(("ours", members), []).append(PAIRS * epochs / fit(epochs))
            if peer is not None:
                speeds.setdefault(("imitation", members), []).append(PAIRS / ask(peer, members))
    for (side, members), found in speeds.items():
        name = "pairs_per_s" if side == "ours" else "imitation_pairs_per_s"
        figures[name + SUFFIX[members]] = max(found)
    notes = {name: f"bar: at least {bar:,}" for name, bar in BARS.items()}
    if peer is not None:
        for members, suffix in SUFFIX.items():
            each = np.array(speeds["ours", members]) / np.array(speeds["imitation", members])
            figures["imitation_ratio" + suffix] = float(np.median(each))
        notes["imitation_ratio"] = "bar: at least 10"
        peer.terminate()
    elif not options.json:
        print(HINT)
    else:
        print(HINT, file=sys.stderr)
    title = f"Training reward models 32x32, {BATCH} pairs of {SEGMENT} steps a batch, one thread"
    report(figures, json_flag=options.json, title=title, notes=notes)


def our_fit(members: int) -> Fit:
    """Return a function that fits for so many epochs and returns the seconds that it took."""
    layout = Layout((vector("state", *(Column(name) for name in "abc")),))
    spec = EnvSpec("made-up", 1, {"policy": layout}, ContinuousActions((-2.0,), (2.0,)))
    model = RewardModelConfig(members=members, hidden=(32, 32), activation="relu", output="linear")
    config = RewardTrainerConfig(learning_rate=1e-3, batch_size=BATCH, stop_accuracy=2.0)
    trainer = RewardTrainer(RewardEnsemble(spec, model), config)
    rng = torch.Generator().manual_seed(0)
    first, second = random_segments(rng), random_segments(rng)
    data = PreferenceData()
    data.add(first, second, (first.reward.sum(1) > second.reward.sum(1)).float())
    trainer.fit(data, epochs=1)

    def fit(epochs: int) -> float:
        start = time.perf_counter()
        trainer.fit(data, epochs=epochs)
        return time.perf_counter() - start

    return fit


def random_segments(rng: torch.Generator) -> SegmentBatch:
    """Draw segments that are paid by their first observation."""
    obs = torch.randn(PAIRS, SEGMENT, 3, generator=rng)
    return SegmentBatch(
        obs=obs,
        action=torch.rand(PAIRS, SEGMENT, 1, generator=rng) * 4 - 2,
        reward=obs[..., 0],
        reward_terms=torch.zeros(PAIRS, SEGMENT, 0),
        length=torch.full((PAIRS,), SEGMENT),
        terminated=torch.zeros(PAIRS, dtype=torch.bool),
        episode=torch.arange(PAIRS),
    )


def start_peer(python: str) -> subprocess.Popen[str]:
    """Start the other side; ValueError if the interpreter cannot import imitation."""
    script = Path(__file__).with_name("imitation_peer.py")
    peer = subprocess.Popen(
        [python, str(script), *(str(value) for value in (PAIRS, SEGMENT, BATCH))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    assert peer.stdout is not None
    if peer.stdout.readline().strip() != "ready":
        raise ValueError(f"{python} cannot run imitation: {python} -m pip install imitation==1.0.1")
    for members in SUFFIX:
        ask(peer, members)
    return peer


def ask(peer: subprocess.Popen[str], members: int) -> float:
    """Have the other side fit once over all pairs; return the seconds that it took."""
    assert peer.stdin is not None and peer.stdout is not None
    peer.stdin.write(f"{members} 1\n")
    peer.stdin.flush()
    return float(peer.stdout.readline())


if __name__ == "__main__":
    main()
