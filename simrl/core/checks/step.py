"""Check that one observation and one time step are well formed."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.checks.failed import CheckFailed, expect, expect_finite, expect_tensor
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, TimeStep


def check_obs(spec: EnvSpec, obs: Obs, num_envs: int, name: str) -> None:
    """Raise CheckFailed unless every group has its shape, dtype and documented range."""
    lead = (num_envs, spec.num_agents)
    expect("policy" in obs, f"{name} has no group 'policy', only {sorted(obs)}")
    known = {*spec.observations, "action_mask", "alive", "state"}
    expect(set(obs) <= known, f"{name} has groups {sorted(set(obs) - known)} that no spec names")
    for group, layout in spec.observations.items():
        if group not in obs:
            continue
        title = f"{name}, group {group!r}"
        value = expect_tensor(obs[group], (*lead, layout.size), torch.float32, title)
        expect_finite(value, title)
        low, high = layout.bounds()
        slack = 1e-5 * (1 + torch.maximum(low.abs(), high.abs()))
        bad = ((value < low - slack) | (value > high + slack)).nonzero()
        if len(bad):
            row, agent, column = (int(i) for i in bad[0])
            raise CheckFailed(
                f"{title}: column {layout.names()[column]} is {float(value[row, agent, column])} "
                f"in environment {row}, agent {agent}; its documented range is "
                f"{float(low[column])} to {float(high[column])}"
            )
    if "alive" in obs:
        expect_tensor(obs["alive"], lead, torch.bool, f"{name}, group 'alive'")
    if "state" in obs:
        shape = (num_envs, spec.state_size)
        expect_tensor(obs["state"], shape, spec.state_dtype, f"{name}, group 'state'")
    if isinstance(spec.actions, DiscreteActions):
        expect("action_mask" in obs, f"{name} has no group 'action_mask', but actions are discrete")
        size = spec.actions.mask_size
        expect_tensor(obs["action_mask"], (*lead, size), torch.bool, f"{name}, group 'action_mask'")


def check_mask(actions: DiscreteActions, mask: Tensor, name: str) -> None:
    """Raise CheckFailed unless every agent can act, whatever legal choice its selector makes.

    mask: `[N, A, M]`.  Each head that counts for a legal choice needs a legal value.
    """
    choices = actions.head_mask(mask, 0)
    for choice in range(actions.heads[0].size):
        chosen = torch.full(mask.shape[:2], choice)
        used = actions.used(mask, chosen)
        for index, head in enumerate(actions.heads):
            legal = actions.head_mask(mask, index, chosen)
            stuck = (choices[..., choice] & used[..., index] & ~legal.any(-1)).nonzero()
            if len(stuck):
                row, agent = stuck[0].tolist()
                raise CheckFailed(
                    f"{name}: environment {row}, agent {agent}: with {actions.heads[0].name} "
                    f"{choice} no value of head {head.name!r} is legal"
                )
    stuck = (~choices.any(-1)).nonzero()
    if len(stuck):
        row, agent = stuck[0].tolist()
        raise CheckFailed(f"{name}: environment {row}, agent {agent} has no legal action at all")


def check_step(spec: EnvSpec, step: TimeStep, num_envs: int, name: str) -> None:
    """Raise CheckFailed unless one time step is well formed."""
    lead = (num_envs, spec.num_agents)
    check_obs(spec, step.obs, num_envs, f"{name}: obs")
    if isinstance(spec.actions, DiscreteActions):
        check_mask(spec.actions, step.obs["action_mask"], f"{name}: action_mask")
    reward = expect_tensor(step.reward, lead, torch.float32, f"{name}: reward")
    expect_finite(reward, f"{name}: reward")
    expect_tensor(step.terminated, (num_envs,), torch.bool, f"{name}: terminated")
    expect_tensor(step.truncated, (num_envs,), torch.bool, f"{name}: truncated")
    both = (step.terminated & step.truncated).nonzero()
    expect(not len(both), f"{name}: row {both.tolist()} is both terminated and truncated")
    _check_terms(spec, step, name)
    done = step.done
    if bool(done.any()):
        last = {key: value[done] for key, value in step.final_obs.items()}
        expect(
            set(last) == set(step.obs),
            f"{name}: final_obs has groups {sorted(last)}, obs has {sorted(step.obs)}",
        )
        check_obs(spec, last, int(done.sum()), f"{name}: final_obs")
    _check_metrics(spec, step, name)


def _check_terms(spec: EnvSpec, step: TimeStep, name: str) -> None:
    if not spec.reward_terms:
        return
    terms = step.reward_terms
    if terms is None:
        raise CheckFailed(f"{name}: reward_terms is None, but the spec names {spec.reward_terms}")
    shape = (*step.reward.shape, len(spec.reward_terms))
    expect_tensor(terms, shape, torch.float32, f"{name}: reward_terms")
    weights = torch.tensor(spec.reward_weights, dtype=torch.float64)
    total = terms.double() @ weights
    scale = (terms.double().abs() @ weights.abs()).clamp(min=1.0)
    bad = ((total - step.reward).abs() > 1e-5 * scale).nonzero()
    if len(bad):
        row, agent = bad[0].tolist()
        raise CheckFailed(
            f"{name}: environment {row}, agent {agent}: the reward is "
            f"{float(step.reward[row, agent])}, its terms times weights give "
            f"{float(total[row, agent])}"
        )


def _check_metrics(spec: EnvSpec, step: TimeStep, name: str) -> None:
    expect(
        set(step.metrics) == set(spec.metrics),
        f"{name}: metrics are {sorted(step.metrics)}, the spec names {sorted(spec.metrics)}",
    )
    num_envs, agents = step.reward.shape
    for key, value in step.metrics.items():
        shapes = [(num_envs,), (num_envs, agents)]
        expect(
            tuple(value.shape) in shapes,
            f"{name}: metric {key!r} must be {shapes[0]} or {shapes[1]}, got {tuple(value.shape)}",
        )
        expect_finite(value[step.done].float(), f"{name}: metric {key!r}")
    if "outcome" in step.metrics:
        outcome = step.metrics["outcome"][step.done].float()
        expect(
            bool(torch.isin(outcome, torch.tensor([-1.0, 0.0, 1.0])).all()),
            f"{name}: outcome must be 1, 0 or -1, got {outcome.tolist()}",
        )
