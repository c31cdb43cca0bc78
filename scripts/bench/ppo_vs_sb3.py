"""CartPole-v1 by PPO, here and in stable-baselines3: steps per second and seconds to 500.

Both sides run in turn in one process, on one torch thread, with the same network (two towers of
2 x 64 tanh) and the same settings (8 environments x 128 steps, minibatches of 256, 4 epochs).
Then our side alone trains to a mean return of 500 with settings of its own, once for each seed.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from report import add_json_flag, report

from simrl.core.plugins import make_env
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOConfig, PPOLearner
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.rollout import RolloutEngine, Seating

NETWORK = ActorCriticConfig(hidden=(64, 64), activation="tanh", critic="separate")
SAME = PPOConfig(minibatch_size=256, epochs=4, entropy_coef=0.0, dual_clip=None)
NUM_ENVS, UNROLL = 8, 128

# For learning speed: more environments, larger steps that end at 0.
QUICK = PPOConfig(
    learning_rate=2e-3,
    learning_rate_schedule="linear",
    minibatch_size=512,
    epochs=6,
    gamma=0.98,
    gae_lambda=0.9,
    entropy_coef=0.0,
    dual_clip=None,
)
QUICK_ENVS, QUICK_UNROLL, QUICK_UPDATES = 32, 64, 90


class Trainer:
    """Collect and learn on CartPole."""

    def __init__(self, num_envs: int, unroll: int, config: PPOConfig, seed: int) -> None:
        """Build environment, network, engine and learner from one seed."""
        torch.manual_seed(seed)
        self.env = make_env("cart-pole", num_envs)
        self.net = ActorCritic(self.env.spec, NETWORK)
        self.policy = NetworkPolicy(self.net)
        seating = Seating.self_play(self.env, self.policy)
        self.engine = RolloutEngine(self.env, seating, seed=seed, threads=1)
        self.learner = PPOLearner(self.net, config, seed=seed)
        self.unroll = unroll

    def update(self, progress: float = 0.0) -> None:
        """Do one turn of collecting and learning."""
        self.learner.update(self.engine.collect(self.unroll), progress)

    def mean_return(self, episodes: int) -> float:
        """Play whole episodes with the most probable actions and return their mean return."""
        env = make_env("cart-pole", episodes)
        seating = Seating.self_play(env, self.policy, train=False)
        table = RolloutEngine(env, seating, seed=1_000, threads=1).run_episodes(
            episodes, deterministic=True
        )
        return float(table.returns.mean())


def ours_steps_per_s(trainer: Trainer, updates: int) -> float:
    """Return environment steps per second of collecting and learning together."""
    begin = time.perf_counter()
    for _ in range(updates):
        trainer.update()
    return updates * NUM_ENVS * UNROLL / (time.perf_counter() - begin)


class PeerTrainer:
    """Train by stable-baselines3 on gymnasium's CartPole-v1."""

    def __init__(self) -> None:
        """Build the model with the settings above."""
        from stable_baselines3 import PPO
        from stable_baselines3.common.env_util import make_vec_env

        self.model = PPO(
            "MlpPolicy",
            make_vec_env("CartPole-v1", n_envs=NUM_ENVS, seed=0),
            n_steps=UNROLL,
            batch_size=SAME.minibatch_size,
            n_epochs=SAME.epochs,
            learning_rate=SAME.learning_rate,
            gamma=SAME.gamma,
            gae_lambda=SAME.gae_lambda,
            clip_range=SAME.clip,
            vf_coef=SAME.value_coef,
            max_grad_norm=SAME.max_grad_norm or 0.5,
            seed=0,
            device="cpu",
        )

    def steps_per_s(self, updates: int) -> float:
        """Return environment steps per second of collecting and learning together."""
        begin = time.perf_counter()
        self.model.learn(updates * NUM_ENVS * UNROLL, reset_num_timesteps=False)
        return updates * NUM_ENVS * UNROLL / (time.perf_counter() - begin)


def seconds_to_solve(seed: int) -> tuple[float, float]:
    """Train until a mean return of 500 over 100 episodes; return the seconds and the last mean.

    Only training counts as time: looking at the return does not.
    """
    trainer = Trainer(QUICK_ENVS, QUICK_UNROLL, QUICK, seed)
    spent, mean = 0.0, 0.0
    for update in range(1, QUICK_UPDATES + 1):
        begin = time.perf_counter()
        trainer.update(update / QUICK_UPDATES)
        spent += time.perf_counter() - begin
        if update % 10 == 0:
            mean = trainer.mean_return(100)
            if mean >= 500.0:
                break
    return spent, mean


def main() -> None:
    """Measure both sides in turn and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--updates", type=int, default=10, help="updates in each turn")
    parser.add_argument("--seeds", type=int, default=3, help="seeds that train to 500")
    add_json_flag(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    trainer, peer = Trainer(NUM_ENVS, UNROLL, SAME, 0), PeerTrainer()
    ours_steps_per_s(trainer, 2)  # compile and warm up
    peer.steps_per_s(2)
    pairs = [
        (ours_steps_per_s(trainer, args.updates), peer.steps_per_s(args.updates))
        for _ in range(args.rounds)
    ]
    solved = [seconds_to_solve(seed) for seed in range(args.seeds)]
    report(
        {
            "cartpole_ratio": statistics.median(a / b for a, b in pairs),
            "cartpole_steps_per_s": statistics.median(a for a, _ in pairs),
            "cartpole_sb3_steps_per_s": statistics.median(b for _, b in pairs),
            "cartpole_train_s": max(seconds for seconds, _ in solved),
            "cartpole_seeds_solved": sum(mean >= 500.0 for _, mean in solved),
        },
        json_flag=args.json,
        title="PPO on CartPole-v1: this toolkit and stable-baselines3, learning included",
        notes={
            "cartpole_ratio": "bar: at least 3",
            "cartpole_train_s": "slowest seed to a mean return of 500; bar: at most 10 s",
            "cartpole_seeds_solved": f"of {args.seeds}",
        },
        packages=("stable-baselines3", "gymnasium"),
    )


if __name__ == "__main__":
    main()
