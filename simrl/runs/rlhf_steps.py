"""The steps of RLHF before PPO: policy, reward model, critic; and the record of PPO's rewards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simrl.core.env import VecEnv
from simrl.core.policy import Policy
from simrl.core.seeding import torch_generator
from simrl.learn import losses
from simrl.learn.cloning import CloningConfig, CloningLearner
from simrl.learn.demonstrations import Demonstrations
from simrl.learn.loop import Progress, Relabel
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOLearner
from simrl.nn.actor_critic import ActorCritic
from simrl.preferences.dataset import PreferenceData, is_held_out
from simrl.preferences.reward_model import RewardEnsemble
from simrl.preferences.segment import SegmentBatch, cut_segments
from simrl.preferences.teachers import ScriptedTeacher
from simrl.rollout.buffer import RolloutBuffer
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.recorder import Trajectory, TrajectoryRecorder
from simrl.rollout.seating import Seating

GOLD_START = "rlhf/gold_start"
"""Name of the figure that says what the reference earns, logged once before PPO."""


def clone_policy(
    net: ActorCritic, data: Demonstrations, config: CloningConfig, *, seed: int
) -> dict[str, float]:
    """Make `net` act as was done in `data`; return figures."""
    metrics = CloningLearner(net, config, seed=seed).fit(data)
    return {f"cloning/{name}": value for name, value in metrics.items()}


def record_segments(
    env: VecEnv, policy: Policy, *, length: int, count: int, recording: int, seed: int
) -> SegmentBatch:
    """Let `policy` play every seat until there are `count` segments of `length` steps.

    One stretch of recording holds `recording` segments.  ValueError if a long play gives none.
    """
    parts: list[SegmentBatch] = []
    episode, still_open = 0, None

    def cut(trajectory: Trajectory) -> None:
        nonlocal episode, still_open
        batch, origins = cut_segments(
            trajectory, length, first_episode=episode, open_episodes=still_open
        )
        episode, still_open = origins.next_episode, origins.open_episodes
        parts.append(batch)

    recorder = TrajectoryRecorder(env, length * recording, cut)
    seating = Seating.self_play(env, policy, train=False)
    engine = RolloutEngine(env, seating, seed=seed, observers=[recorder])
    while sum(map(len, parts)) < count:
        engine.step()
        if len(parts) > 100 + count and not sum(map(len, parts)):
            raise ValueError(f"{env.spec.id}: no segment of {length} steps came of all the play")
    return SegmentBatch.cat(parts)


def ask_pairs(
    segments: SegmentBatch, teacher: ScriptedTeacher, count: int, *, held_out: float, seed: int
) -> tuple[PreferenceData, PreferenceData]:
    """Ask about `count` random pairs; return those to learn from and those to judge by.

    Pairs are formed within either side, so that none is lost to the split by trajectory.
    """
    generator = torch_generator(seed, "pairs")
    teacher.observe(segments)
    held = is_held_out(segments.episode, held_out, seed)
    parts = []
    for side, share in ((~held, 1.0 - held_out), (held, held_out)):
        data, members = PreferenceData(), side.nonzero().squeeze(1)
        number = round(count * share)
        if number and len(members) < 2:
            raise ValueError(
                f"{len(members)} segments on one side of the split: play longer, or set held_out "
                "to 0"
            )
        if number:
            first = torch.randint(len(members), (number,), generator=generator)
            other = torch.randint(1, len(members), (number,), generator=generator)
            second = (first + other) % len(members)
            a, b = segments.select(members[first]), segments.select(members[second])
            label = teacher.answer(a, b)
            told = (~torch.isnan(label)).nonzero().squeeze(1)
            data.add(a.select(told), b.select(told), label[told])
        parts.append(data)
    return parts[0], parts[1]


def critic_from_reward(net: ActorCritic, ensemble: RewardEnsemble) -> bool:
    """Give the critic's trunk the hidden layers of the reward model's first member.

    That is possible where both are plain MLPs on the "policy" group with the same hidden widths and
    activation; the scaling of observations is folded into the first layer, and what the reward
    model reads of the action is left out.  Returns whether it was.
    """
    critic, config = net.critic, ensemble.config
    if critic is None or critic.group != "policy" or critic.memory_width:
        return False
    if not (critic.encoder.identity and ensemble.plain) or critic.normaliser is not None:
        return False
    layers = [layer for layer in critic.trunk if isinstance(layer, nn.Linear)]
    same = tuple(layer.out_features for layer in layers) == tuple(config.hidden)
    if not same or net.config.activation != config.activation:
        return False
    with torch.no_grad():
        for index, layer in enumerate(layers):
            weight = ensemble.weights[index][0][:, : layer.in_features].clone()
            bias = ensemble.biases[index][0].squeeze(-1).clone()
            if index == 0 and config.normalise_obs:
                weight *= ensemble.obs_scale
                bias -= weight @ ensemble.obs_shift
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    return True


def fit_critic(
    learner: PPOLearner,
    engine: RolloutEngine,
    relabel: Relabel,
    *,
    unroll: int,
    updates: int,
    learning_rate: float,
    epochs: int = 4,
) -> dict[str, float]:
    """Regress the critic on the returns of the learned reward, while the policy stays as it is.

    Where the critic shares the policy's features only its output rows change.  Returns the share of
    the returns' variance that it explains of the last batch, before learning from it.
    """
    net = learner.net
    parts = list(net.critic.parameters() if net.critic else net.head.parameters())
    optimiser = torch.optim.Adam(parts, lr=learning_rate)
    explained = 0.0
    for _ in range(updates):
        buffer = engine.collect(unroll)
        relabel(buffer)
        batch = learner.prepare(buffer)
        explained = float(
            losses.explained_variance(buffer.value.sum(-1), batch.returns.sum(-1)).nan_to_num()
        )
        for _ in range(epochs):
            for part in batch.minibatches(learner.config.minibatch_size, learner.generator):
                _, value = net.sequence(part.obs, part.start_state, part.episode_start)
                error = (value.flatten(0, 1) - part.returns) / net.value_scale
                grads = torch.autograd.grad(error.square().mean(), parts)
                for parameter, grad in zip(parts, grads, strict=True):
                    parameter.grad = grad
                    if net.critic is None:
                        grad[: net.num_logits] = 0.0  # the policy's rows
                optimiser.step()
    for parameter in parts:
        parameter.grad = None
    return {"critic/explained_variance": explained}


def mean_return(env: VecEnv, net: ActorCritic, *, seed: int, episodes: int = 2) -> float:
    """Return the true return of `net`'s play, the mean over `episodes` whole ones of each row.

    The first batch of a run would not tell: of long episodes it sees those that end early.
    """
    seating = Seating.self_play(env, playing(net), train=False)
    table = RolloutEngine(env, seating, seed=seed).run_episodes(episodes * env.num_envs)
    return float(np.mean(table.returns))


class GoldRecord:
    """Keep the learned (proxy) and the true (gold) return of every episode, and the distance.

    It stands between the engine and `relabel`: the buffer that comes holds the task's own reward.
    A hook of the training loop, too: each update's figures are means over the episodes that ended
    in it.

        rlhf/kl         KL of an episode to the reference [nat]: exact for each state that was
                        visited, times the mean length of the episodes
        rlhf/distance   its square root
        rlhf/proxy, rlhf/gold, rlhf/length
    """

    def __init__(self, relabel: Relabel) -> None:
        self.relabel = relabel
        self._sums: Tensor | None = None
        self._ended: Tensor = torch.zeros(0, 3)

    def __call__(self, buffer: RolloutBuffer) -> Mapping[str, float] | None:
        """Relabel, and add up both rewards along the lanes."""
        gold = buffer.reward.clone()
        figures = self.relabel(buffer)
        steps = torch.stack([buffer.reward, gold, torch.ones_like(gold)], -1).cpu()
        sums = torch.zeros(steps.shape[1], 3) if self._sums is None else self._sums
        done, ended = (buffer.terminated | buffer.truncated).cpu(), []
        for t in range(len(steps)):
            sums = sums + steps[t]
            ended.append(sums[done[t]])
            sums = sums.masked_fill(done[t][:, None], 0.0)
        self._sums, self._ended = sums, torch.cat(ended)
        return figures

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Return the figures of the episodes that ended in this update's batch; none if none."""
        if not len(self._ended):
            return {}
        proxy, gold, length = self._ended.double().mean(0).tolist()
        kl = metrics["rollout/reference_kl"] * length
        return {
            "rlhf/kl": kl,
            "rlhf/distance": float(np.sqrt(max(kl, 0.0))),
            "rlhf/proxy": proxy,
            "rlhf/gold": gold,
            "rlhf/length": length,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the episodes under way."""
        return {"sums": self._sums}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self._sums = state["sums"]


def reference_of(net: ActorCritic) -> ActorCritic:
    """Return a copy of `net`'s network, to be frozen."""
    copied = ActorCritic(net.spec, net.config).to(next(net.parameters()).device)
    copied.load_state_dict(net.state_dict())
    return copied


def playing(net: ActorCritic) -> NetworkPolicy:
    """Return `net` as a policy that gives no values."""
    return NetworkPolicy(net, values=False)
