"""Measure how fast the 1v1 MOBA steps with random legal actions, observations and masks included.

    python scripts/bench/moba_speed.py [--num-envs 512] [--threads 2] [--json]

The figure counts everything that a training loop would pay for in the environment: drawing legal
actions from the masks, checking them, the rules, rewards, resets, observations and new masks. The
best of many short repeats counts, since other programs share the machine; the median and the load
average are printed beside it.
"""

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from report import add_json_flag, report

from simrl_envs.moba import MobaConfig, MobaEnv
from simrl_envs.moba import advance as kernels
from simrl_envs.moba.mask import random_legal

BAR = 1_000_000
WARM_UP = 700
"""Steps before measuring, so that the lanes are full of creeps."""


class Player:
    """Draw random legal actions for an environment and step it."""

    def __init__(self, num_envs: int, threads: int) -> None:
        self.env = MobaEnv(MobaConfig(threads=threads), num_envs)
        self.env.request({"policy", "action_mask"})
        mask = self.env.reset(0)["action_mask"].numpy()
        self.mask = mask.reshape(-1, mask.shape[-1])
        self.actions = np.zeros((len(self.mask), 5), np.int64)
        self.tensor = torch.from_numpy(self.actions.reshape(num_envs, -1, 5))
        self.steps = 0

    def draw(self) -> None:
        """Draw a legal action for every agent."""
        width = self.env.tables.shape.num_targets
        random_legal(self.mask, width, np.int64(self.steps), self.actions)

    def play(self, steps: int) -> float:
        """Play and return the seconds that it took."""
        start = time.perf_counter()
        for _ in range(steps):
            self.draw()
            self.env.step(self.tensor)
            self.steps += 1
        return time.perf_counter() - start


def best(job: Callable[[], object], repeats: int) -> float:
    """Return the least seconds that a call took."""
    least = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        least = min(least, time.perf_counter() - start)
    return least


def throughput(player: Player, steps: int, repeats: int) -> tuple[float, float, float]:
    """Return agent-steps/s of the best and the median repeat, and the best one's kernel share."""
    env = player.env
    agents = env.num_envs * env.spec.num_agents
    drawing = best(player.draw, 20) * steps
    results = []
    for _ in range(repeats):
        env.pool.busy_seconds = 0.0
        seconds = player.play(steps)
        inside = env.pool.busy_seconds / env.config.threads + drawing
        results.append((agents * steps / seconds, min(1.0, inside / seconds)))
    results.sort()
    return results[-1][0], results[len(results) // 2][0], results[-1][1]


def parts(player: Player, repeats: int) -> dict[str, float]:
    """Return microseconds of one thread an agent for each part of a step, and a game's snapshot."""
    env, rows = player.env, player.env.num_envs
    static, view, scores = env._static, env._view, env._scores
    record, games = env.tables.record, env.games
    player.draw()
    env.step(player.tensor)  # leaves the cleaned actions behind
    scale = 1e6 / (rows * env.spec.num_agents)
    saved = env.snapshot().numpy()
    state = games.view(np.uint8).reshape(rows, -1)

    def rewind() -> None:
        np.copyto(state, saved)

    def play() -> None:
        rewind()
        kernels.play_rows(games, record, env._actions, scores, 0, rows)

    figures = {
        "draw_us": best(player.draw, repeats) * scale,
        "play_us": (best(play, repeats) - best(rewind, repeats)) * scale,
    }
    rewind()
    observing = best(lambda: kernels.observe_rows(games, record, static, view, 0, rows), repeats)
    masking = best(lambda: kernels.mask_rows(games, record, static, view, 0, rows), repeats)
    snapshot = best(lambda: env.restore(env.snapshot()), repeats)
    return figures | {
        "observe_us": observing * scale,
        "mask_us": masking * scale,
        "snapshot_restore_us": snapshot * 1e6 / rows,
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--num-envs", type=int, default=512, help="games side by side")
    parser.add_argument("--threads", type=int, default=2, help="threads that step them")
    parser.add_argument("--steps", type=int, default=20, help="steps of one repeat")
    parser.add_argument("--repeats", type=int, default=100, help="repeats; the best counts")
    add_json_flag(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)

    start = time.perf_counter()
    player = Player(args.num_envs, args.threads)
    player.play(1)
    ready = time.perf_counter() - start
    player.play(WARM_UP)
    rate, median, share = throughput(player, args.steps, args.repeats)
    single = Player(args.num_envs, 1)
    single.play(WARM_UP)
    rate_1, _, _ = throughput(single, args.steps, args.repeats)
    figures = {
        "agent_steps_per_s": rate,
        "agent_steps_per_s_median": median,
        "kernel_share": share,
        "agent_steps_per_s_1_thread": rate_1,
        **parts(single, 3 * args.repeats),
        "first_step_s": ready,
        "load_average": os.getloadavg()[0],
    }
    report(
        figures,
        json_flag=args.json,
        title=f"1v1 MOBA, {args.num_envs} games, random legal actions, {args.threads} threads",
        notes={
            "agent_steps_per_s": f"bar: {BAR:,}; observations, masks, checks and draws included",
            "kernel_share": "of the best repeat's wall time, mean over threads",
            "draw_us": "an agent, one thread: a random legal action",
            "play_us": "an agent, one thread: rules and rewards of one decision",
            "observe_us": "an agent, one thread",
            "mask_us": "an agent, one thread",
            "snapshot_restore_us": "a game: snapshot, restore and observe again; bar: 50",
            "first_step_s": "reset and step from start; seconds longer when kernels compile",
            "load_average": "of the machine, one minute: above its cores, other work takes part",
        },
    )


if __name__ == "__main__":
    main()
