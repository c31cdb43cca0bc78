"""Imitate any policy: clone what it does, then let the clone act and ask what it would have done.

DAgger (Ross et al. 2011, "A Reduction of Imitation Learning and Structured Prediction to No-Regret
Online Learning", algorithm 3.1): a clone that is a little off meets situations that the expert
never showed, so the expert labels the situations that the clone leads to.  A label is the action of
an ordinary `act`; the expert keeps its own memory along the clone's path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from simrl.core.env import VecEnv
from simrl.core.policy import Policy, PolicyOutput
from simrl.core.seeding import child_seed
from simrl.core.timestep import Obs, PolicyState
from simrl.learn.cloning import CloningLearner
from simrl.learn.demonstrations import Demonstrations
from simrl.learn.policy import NetworkPolicy
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.seating import Seating
from simrl.rollout.store import LEARN_ACTION

EXPERT = "expert/"
"""What the names of the expert's memory begin with."""


@dataclass(frozen=True)
class DaggerConfig:
    """Choose how much is shown, and how soon the clone acts."""

    rounds: int = 5
    """Rounds; in the first the expert acts alone, so one round is plain cloning."""
    steps: int = 200
    """Steps of every environment in a round."""
    expert_share: float = 0.5
    """Share of the steps of the second round in which the expert acts; it is raised to the round's
    number, so that later ones are the clone's.  0 lets the clone act from the second round on."""
    keep_rounds: int = 0
    """Newest rounds that are learned from; 0 keeps all."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("rounds", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 <= self.expert_share <= 1.0:
            raise ValueError(f"expert_share must be within 0 and 1, got {self.expert_share}")
        if self.keep_rounds < 0:
            raise ValueError(f"keep_rounds must be at least 0, got {self.keep_rounds}")


class AdvisedPolicy:
    """Act as a clone or as its expert, by a draw at every step, and keep what the expert would do.

    The extra "learn_action" is the expert's action in every row.
    """

    def __init__(
        self,
        clone: Policy,
        expert: Policy,
        expert_share: float,
        also_kept: frozenset[str] = frozenset(),
    ) -> None:
        """Let `expert` act in a share of the steps and `clone` in the others.

        also_kept: observation groups that neither acts by, but a buffer shall hold.
        """
        self.clone, self.expert, self.expert_share = clone, expert, expert_share
        self.reads = frozenset(clone.reads) | frozenset(expert.reads) | also_kept

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory of both."""
        kept = {EXPERT + key: value for key, value in self.expert.initial_state(num_rows).items()}
        return {**kept, **self.clone.initial_state(num_rows)}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Ask both and return the action of one `[rows, ...]`."""
        memory = {k.removeprefix(EXPERT): v for k, v in state.items() if k.startswith(EXPERT)}
        own = {k: v for k, v in state.items() if not k.startswith(EXPERT)}
        advice = self.expert.act(_read(obs, self.expert), memory, rng, deterministic=True)
        done = self.clone.act(_read(obs, self.clone), own, rng, deterministic=deterministic)
        rows = len(advice.action)
        draw = torch.rand(rows, 1, generator=rng, device=rng.device).to(advice.action.device)
        action = torch.where(draw < self.expert_share, advice.action, done.action)
        kept = {EXPERT + key: value for key, value in advice.state.items()}
        return PolicyOutput(action, {**kept, **done.state}, {LEARN_ACTION: advice.action})


def dagger(
    env: VecEnv,
    expert: Policy,
    learner: CloningLearner,
    config: DaggerConfig | None = None,
    *,
    seed: int = 0,
    after_round: Callable[[int, Mapping[str, float]], None] = lambda number, metrics: None,
) -> list[dict[str, float]]:
    """Teach `learner`'s network to act as `expert` does; return the metrics of each round.

    Each round starts new episodes, adds `config.steps` steps of every environment to what was shown
    before, and fits the network to all of it.  `after_round(number, metrics)` is called after each.
    """
    config = config or DaggerConfig()
    net = learner.net
    clone = NetworkPolicy(net, values=False)
    shown: list[Demonstrations] = []
    every: list[dict[str, float]] = []
    for number in range(config.rounds):
        share = 1.0 if number == 0 else config.expert_share**number
        policy = AdvisedPolicy(clone, expert, share, net.reads)
        engine = RolloutEngine(
            env, Seating.self_play(env, policy), seed=child_seed(seed, f"round {number}")
        )
        buffer = engine.collect(config.steps)
        shown.append(
            Demonstrations(
                obs={name: buffer.obs[name].clone() for name in net.reads},
                action=buffer.action.clone(),
                episode_start=buffer.episode_start.clone(),
                weight=torch.ones_like(buffer.reward),
            )
        )
        shown = shown[-config.keep_rounds :] if config.keep_rounds else shown
        metrics = learner.fit(Demonstrations.cat(shown))
        metrics["expert_share"] = share
        every.append(metrics)
        after_round(number, metrics)
    return every


def _read(obs: Obs, policy: Policy) -> Obs:
    return {name: obs[name] for name in {*policy.reads, "seat"} if name in obs}
