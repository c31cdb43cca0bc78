"""Train reward models with the `imitation` package: the other side of `reward_model_speed.py`.

Run by that script with the interpreter of an environment that holds imitation 1.0.1, which cannot
share ours: it pins an old gymnasium and stable-baselines3.  For each line "members epochs" on
standard input it prints the seconds that the training took.
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

import gymnasium
import numpy as np
import torch
from imitation.algorithms import preference_comparisons as pc
from imitation.data.types import TrajectoryWithRew
from imitation.rewards.reward_nets import BasicRewardNet, RewardEnsemble
from imitation.util import logger


def main() -> None:
    """Answer until standard input ends."""
    pairs, segment, batch = (int(value) for value in sys.argv[1:4])
    torch.set_num_threads(1)
    dataset = make_dataset(pairs, segment)
    trainers = {members: make_trainer(members, batch) for members in (1, 3)}
    print("ready", flush=True)
    for line in sys.stdin:
        members, epochs = (int(word) for word in line.split())
        start = time.perf_counter()
        trainers[members].train(dataset, epoch_multiplier=float(epochs))
        print(time.perf_counter() - start, flush=True)


def make_dataset(pairs: int, segment: int) -> Any:
    """Make pairs of segments of 3 observations and 1 action, preferred by their reward."""
    rng = np.random.default_rng(0)
    dataset = pc.PreferenceDataset()

    def fragment() -> TrajectoryWithRew:
        obs = rng.standard_normal((segment + 1, 3)).astype(np.float32)
        acts = rng.uniform(-2, 2, (segment, 1)).astype(np.float32)
        return TrajectoryWithRew(
            obs=obs, acts=acts, infos=None, terminal=False, rews=obs[:-1, 0].astype(np.float64)
        )

    fragments = [(fragment(), fragment()) for _ in range(pairs)]
    better = [float(a.rews.sum() > b.rews.sum()) for a, b in fragments]
    dataset.push(fragments, np.array(better, np.float32))
    return dataset


def make_trainer(members: int, batch: int) -> Any:
    """Make the trainer that imitation itself would make for so many members, quiet."""
    spaces = (
        gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32),
        gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float32),
    )
    nets = [BasicRewardNet(*spaces, hid_sizes=(32, 32)) for _ in range(members)]
    net = nets[0] if members == 1 else RewardEnsemble(*spaces, nets)
    model = pc.PreferenceModel(net)
    kind = pc.BasicRewardTrainer if members == 1 else pc.EnsembleTrainer
    return kind(
        model,
        pc.CrossEntropyRewardLoss(),
        rng=np.random.default_rng(0),
        epochs=1,
        batch_size=batch,
        custom_logger=logger.configure(tempfile.mkdtemp(), []),
    )


if __name__ == "__main__":
    main()
