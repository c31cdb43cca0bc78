"""Give a batch of rollouts the rewards of a learned model, in place of or beside the task's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from simrl.core.env import VecEnv
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, TimeStep
from simrl.preferences.reward_model import RewardEnsemble
from simrl.rollout.buffer import RolloutBuffer
from simrl.rollout.threads import torch_threads

PREFERENCE = "preference"
"""Name of the reward term, and of its value group, that the learned reward has beside others."""

RelabelMode = Literal["replace", "add"]


@dataclass(frozen=True)
class RelabelConfig:
    """Say how the learned reward reaches the learner."""

    mode: RelabelMode = "replace"
    """What becomes of the task's own reward: with "replace" the learned one is the only one; with
    "add" it joins the environment's reward terms as a term and value group "preference", so that an
    agent keeps its other value heads."""
    weight: float = 1.0
    """Weight of the term in mode "add"."""
    pessimism: float = 0.0
    """Deviations of the ensemble that are taken off its mean; negative ones are optimism."""
    clip: float = 10.0
    """Bound on the learned reward of a step, in standard deviations."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.mode not in ("replace", "add"):
            raise ValueError(f"unknown mode {self.mode!r}; the modes are replace, add")
        if self.clip <= 0:
            raise ValueError(f"clip must be positive, got {self.clip}")


def relabelled_spec(spec: EnvSpec, config: RelabelConfig) -> EnvSpec:
    """Return the spec that a learner of the relabelled reward is built from.

    Mode "replace" merges all reward groups into one, "add" appends the term "preference".
    ValueError if the environment has a term of that name already.
    """
    if config.mode == "replace":
        if len(spec.value_groups) == 1:
            return spec
        return dataclasses.replace(spec, reward_groups=(PREFERENCE,) * len(spec.reward_terms))
    if PREFERENCE in (*spec.reward_terms, *spec.reward_groups):
        raise ValueError(f"{spec.id} has a reward term or group {PREFERENCE!r} already")
    if not spec.reward_terms:
        raise ValueError(
            f"{spec.id} does not itemise its reward, so nothing can be added to it; "
            "use the mode replace"
        )
    return dataclasses.replace(
        spec,
        reward_terms=(*spec.reward_terms, PREFERENCE),
        reward_weights=(*spec.reward_weights, config.weight),
        reward_groups=(*spec.reward_groups, PREFERENCE),
    )


class RelabelledEnv:
    """Show an environment under the spec of its relabelled reward.

    A new reward term is 0 until a `RelabelByReward` fills it in the buffer.
    """

    def __init__(self, env: VecEnv, spec: EnvSpec) -> None:
        self.env = env
        self.spec = spec
        self.num_envs = env.num_envs
        self.device = env.device
        extra = len(spec.reward_terms) - len(env.spec.reward_terms)
        size = (env.num_envs, spec.num_agents, len(spec.reward_terms))
        self._terms = torch.zeros(size, device=env.device) if extra else None

    def request(self, groups: Iterable[str]) -> None:
        """Ask for these observation groups."""
        self.env.request(groups)

    def reset(self, seed: int) -> Obs:
        """Start every environment anew."""
        return self.env.reset(seed)

    def step(self, action: Tensor) -> TimeStep:
        """Step every environment; the reward terms gain a column of zeros."""
        timestep = self.env.step(action)
        if self._terms is None or timestep.reward_terms is None:
            return timestep
        self._terms[..., : timestep.reward_terms.shape[-1]] = timestep.reward_terms
        return dataclasses.replace(timestep, reward_terms=self._terms)

    def snapshot(self) -> Tensor:
        """Copy the simulator's states."""
        return self.env.snapshot()

    def restore(self, snapshot: Tensor, rows: Tensor | None = None) -> Obs:
        """Put states back."""
        return self.env.restore(snapshot, rows)

    def render(self, row: int) -> np.ndarray:
        """Draw one environment."""
        return self.env.render(row)


def relabelled_env(env: VecEnv, config: RelabelConfig) -> VecEnv:
    """Return `env` itself where its spec fits the relabelled reward, and else a view of it."""
    spec = relabelled_spec(env.spec, config)
    return env if spec is env.spec else RelabelledEnv(env, spec)


class RelabelByReward:
    """Write the learned reward of every step into a buffer.

    Variable horizons: a termination leads to an absorbing state for ever, which the learned reward
    values too.  Its return, gamma * absorbing / (1 - gamma), joins the reward of the step that
    terminated.  Where a time limit cut an episode the learner bootstraps as always.
    """

    def __init__(
        self,
        ensemble: RewardEnsemble,
        spec: EnvSpec,
        config: RelabelConfig | None = None,
        *,
        gamma: float,
        threads: int = 1,
    ) -> None:
        """Relabel with `ensemble`.

        Args:
            ensemble: Reward model.
            spec: Spec of the buffers' environment, see `relabelled_spec`.
            config: How.
            gamma: Discount of the learner for the learned reward.
            threads: Torch threads.

        Raises:
            ValueError: The spec has several value groups in mode "replace", or lacks the term
                "preference" in mode "add".
        """
        self.ensemble = ensemble
        self.config = config or RelabelConfig()
        self.gamma = gamma
        self.threads = threads
        self._column: int | None = None
        if self.config.mode == "add":
            if PREFERENCE not in spec.reward_terms:
                raise ValueError(f"{spec.id} has no reward term {PREFERENCE!r} to fill")
            self._column = spec.reward_terms.index(PREFERENCE)
        elif len(spec.value_groups) > 1:
            raise ValueError(
                f"{spec.id} has the value groups {', '.join(spec.value_groups)}; a reward that "
                "replaces them all needs one group, as `relabelled_spec` makes it"
            )

    def __call__(self, buffer: RolloutBuffer) -> Mapping[str, float]:
        """Change the rewards of `buffer` in place and return figures about them."""
        task = buffer.reward.clone()
        with torch_threads(self.threads):
            learned = self.rewards(buffer)
        if self._column is None:
            buffer.reward.copy_(learned)
        elif buffer.reward_terms is not None:
            buffer.reward_terms[..., self._column] = learned
            buffer.reward += self.config.weight * learned
        return {
            "prefs/reward": float(learned.mean()),
            "prefs/correlation": _correlation(learned, task),
        }

    def rewards(self, buffer: RolloutBuffer) -> Tensor:
        """Return the learned reward of every step `[T, L]`, what follows a termination included."""
        config = self.config
        learned = self.ensemble.reward(
            buffer.obs["policy"], buffer.action, pessimism=config.pessimism
        ).clamp_(-config.clip, config.clip)
        if bool(buffer.terminated.any()):
            learned += buffer.terminated * self.absorbed_return()
        return learned

    def absorbed_return(self) -> float:
        """Return the discounted reward of staying absorbed for ever after a termination.

        0 while no termination has been among the labelled data: then nothing is known of it.
        ValueError if the sum is infinite.
        """
        if not bool(self.ensemble.terminates):
            return 0.0
        reward = self.ensemble.absorbing_reward(pessimism=self.config.pessimism)
        reward = max(-self.config.clip, min(self.config.clip, reward))
        if self.gamma >= 1.0 and reward != 0.0:
            raise ValueError("an absorbing state that pays needs a discount below 1")
        return self.gamma * reward / (1.0 - self.gamma) if reward else 0.0


def _correlation(one: Tensor, other: Tensor) -> float:
    """Return Pearson's correlation of two tensors of one shape; 0 if either does not vary."""
    one, other = one.flatten().double(), other.flatten().double()
    one, other = one - one.mean(), other - other.mean()
    scale = float(one.norm() * other.norm())
    return float(one @ other) / scale if scale > 0 else 0.0
