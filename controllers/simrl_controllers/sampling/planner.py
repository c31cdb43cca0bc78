"""Plan by sampling: roll many plans out in a model, move towards the cheap ones, act, repeat."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from simrl.core import ContinuousActions, Dynamics, EnvSpec, Obs, PolicyOutput, PolicyState, unroll
from simrl_controllers.sampling.plan import Effort, PlanDistribution, SamplingConfig, Update, effort
from simrl_controllers.sampling.spline import Spline

FINE = 0.2
"""Noise of the fine samples as a share of that of the others."""

Proposal = Callable[[Tensor, int, torch.Generator], Tensor]
"""Propose controls `[rows, P, H, size]` from states `[rows, S]`, the horizon H and a generator."""
TerminalValue = Callable[[Tensor], Tensor]
"""Tell the rewards `[B]` that are to come after states `[B, S]`: any function, such as the classes
of `simrl_controllers.terminal_value`."""
END_COST = 20.0
"""What an early end costs unless the options say otherwise [reward]."""
MAX_NUMBERS = 2**26
"""Numbers of predicted states that one call of the model may return; more rows take more calls."""


class SamplingPolicy:
    """Improve a plan of spline knots by samples, apply its first control, and shift it.

    The plans of all rows and samples are unrolled in one call of the model.  The noise is the same
    in every row, so the action of a row does not depend on the rest of the batch.  Plans that
    diverge cost infinity; if all of a row's do, it goes on with its last plan.

    Memory: "knots" `[rows, K, size]`, the shifted plan.

    Extras, each `[rows]`: "solve_time" [s], the call's wall time shared among its rows; "cost" of
    the best sample [reward]; "cost_spread", the standard deviation of the finite costs;
    "effective_samples", 1 / sum of squared weights; "fallback", 1 where no plan was usable.
    """

    reads = frozenset({"state"})

    def __init__(
        self,
        spec: EnvSpec,
        config: SamplingConfig,
        update: Callable[[Tensor, Tensor], Update],
        *,
        dynamics: Dynamics | None = None,
        terminal_value: TerminalValue | None = None,
        proposal: Proposal | None = None,
    ) -> None:
        """Plan for the environments of `spec`.

        Args:
            spec: The environment; one agent with continuous actions.
            config: The options.
            update: Makes the update from the idle action and the initial spread, each `[size]`.
            dynamics: The model to plan with; the spec's own by default.
            terminal_value: Rewards expected after the last state of a plan; 0 by default.
            proposal: Plans to begin with, such as a `PolicyProposal`: the cheapest of them and the
                last plan is improved, and all of them are among the first iteration's samples.

        Raises:
            ValueError: There is no model, or the environment is not one that can be planned for.
        """
        actions = _check_actions(spec)
        self._spec = spec
        self._dynamics = _find_dynamics(spec, dynamics)
        self._terminal_value, self._proposal = terminal_value, proposal
        self._effort = effort(config, str(spec.physics.get("model", "")))
        self._spline = Spline(config.spline, self._effort.knots, self._effort.horizon)
        self._low, self._high = torch.tensor(actions.low), torch.tensor(actions.high)
        self._middle = 0.5 * (self._low + self._high)
        self._scale = _noise(self._effort, actions.size) * 0.5 * (self._high - self._low)
        self._update = update(self._middle, self._scale)
        self._end_cost = END_COST if config.end_cost is None else config.end_cost
        gamma = 1.0 if config.gamma is None else config.gamma
        self._gamma = gamma ** torch.arange(self._effort.horizon + 1, dtype=torch.float64)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return plans that stay at the middle of every actuator's range."""
        shape = (num_rows, self._effort.knots, len(self._middle))
        return {"knots": self._middle.expand(shape).clone()}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Plan and return the first control; the samples are drawn in either mode."""
        start = time.perf_counter()
        now = obs["state"]
        self._check_state(now)
        mean = state["knots"]
        plan = PlanDistribution(mean, self._scale.expand_as(mean))
        usable = torch.ones(len(now), dtype=torch.bool)
        for index in range(self._effort.iterations):
            if index == 0 and self._proposal is not None:
                plan, knots, cost = self._begin(plan, now, rng)
            else:
                knots = torch.cat([plan.mean.unsqueeze(1), self._noisy(plan, rng)], dim=1)
                cost = self._cost(now, knots)
            plan, weights, usable = self._improve(plan, knots, cost)
        action = self._controls(plan.mean, self._spline.basis[:1])[:, 0]
        shifted = self._within(self._spline.shift @ plan.mean)
        seconds = (time.perf_counter() - start) / max(1, len(now))
        extras = {
            "solve_time": torch.full((len(now),), seconds),
            "fallback": (~usable).to(torch.int64),
            **_figures(cost, weights),
        }
        return PolicyOutput(action, {"knots": shifted}, extras)

    def _begin(
        self, plan: PlanDistribution, now: Tensor, rng: torch.Generator
    ) -> tuple[PlanDistribution, Tensor, Tensor]:
        """Move to the cheapest of the last plan and the proposed ones, and sample about it.

        Returns the moved plan, and the knots `[rows, 1 + P + N - 1, K, size]` and costs of all that
        was tried: the last plan, those proposed, and noisy copies of the cheapest.
        """
        assert self._proposal is not None
        proposed = self._spline.fit @ self._proposal(now, self._effort.horizon, rng)
        given = torch.cat([plan.mean.unsqueeze(1), self._within(proposed)], dim=1)
        known = self._cost(now, given)
        best = given[torch.arange(len(given)), known.argmin(dim=1)]
        plan = PlanDistribution(best, plan.scale)
        noisy = self._noisy(plan, rng)
        cost = torch.cat([known, self._cost(now, noisy)], dim=1)
        return plan, torch.cat([given, noisy], dim=1), cost

    def _noisy(self, plan: PlanDistribution, rng: torch.Generator) -> Tensor:
        """Draw noisy copies of the plan `[rows, N - 1, K, size]`."""
        shape = (self._effort.samples - 1, *plan.mean.shape[1:])
        noise = torch.randn(shape, generator=rng)
        noise[: round(self._effort.fine * len(noise))] *= FINE
        return self._within(plan.mean.unsqueeze(1) + plan.scale.unsqueeze(1) * noise)

    def _within(self, controls: Tensor) -> Tensor:
        """Clip `[..., size]` to the bounds of the actions."""
        return controls.clamp(self._low, self._high)

    def _controls(self, knots: Tensor, basis: Tensor) -> Tensor:
        """Evaluate knots `[..., K, size]` with rows of the basis; cubics overshoot, so clip."""
        return self._within(basis @ knots)

    def _cost(self, now: Tensor, knots: Tensor) -> Tensor:
        """Unroll every plan in one call and return its cost `[rows, N]` float64, +inf if bad."""
        rows, samples = knots.shape[:2]
        fit = max(1, MAX_NUMBERS // (samples * self._effort.horizon * now.shape[1]))
        if rows > fit:
            parts = zip(now.split(fit), knots.split(fit), strict=True)
            return torch.cat([self._cost(*part) for part in parts])
        controls = self._controls(knots, self._spline.basis).flatten(0, 1)
        start = now.repeat_interleave(samples, dim=0)
        states, rewards, discounts = unroll(self._dynamics, start, controls.unsqueeze(2))
        alive = discounts.to(torch.float64).cumprod(dim=1)
        paid = rewards[:, :, 0].to(torch.float64) * self._gamma[:-1]
        paid[:, 1:] *= alive[:, :-1]
        cost = self._end_cost * (1.0 - alive[:, -1]) - paid.sum(dim=1)
        last = states[:, -1]
        if self._terminal_value is not None:
            value = self._terminal_value(last).to(torch.float64)
            cost -= self._gamma[-1] * alive[:, -1] * value
        bad = ~torch.isfinite(cost)
        if last.is_floating_point():
            bad |= ~torch.isfinite(last).all(dim=1)
        return cost.masked_fill(bad, math.inf).view(rows, samples)

    def _improve(
        self, plan: PlanDistribution, knots: Tensor, cost: Tensor
    ) -> tuple[PlanDistribution, Tensor, Tensor]:
        """Update the rows that have a usable sample and leave the others as they are."""
        usable = torch.isfinite(cost).any(dim=1)
        if bool(usable.all()):
            return *self._update(plan, knots, cost), usable
        safe = torch.where(usable.unsqueeze(1), cost, torch.zeros_like(cost))
        moved, weights = self._update(plan, knots, safe)
        keep = usable[:, None, None]
        mean = torch.where(keep, moved.mean, plan.mean)
        scale = torch.where(keep, moved.scale, plan.scale)
        return PlanDistribution(mean, scale), weights * usable.unsqueeze(1), usable

    def _check_state(self, now: Tensor) -> None:
        if not now.is_floating_point() or bool(torch.isfinite(now.sum())):
            return
        bad = (~torch.isfinite(now)).nonzero()
        if len(bad):
            row, index = bad[0].tolist()
            raise ValueError(
                f"{self._spec.id}: row {row}: number {index} of the state "
                f"({part_of_state(self._spec, index)}) is {float(now[row, index])}"
            )


def part_of_state(spec: EnvSpec, index: int) -> str:
    """Name the part of a state row that holds number `index`."""
    parts = spec.physics.get("state", {})
    for name, where in parts.items():
        if where.start <= index < where.stop:
            return str(name)
    return "an unnamed part"


def _figures(cost: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Summarise the last iteration, each `[rows]` float32; infinite costs do not spoil spreads."""
    finite = torch.isfinite(cost)
    count = finite.sum(dim=1).clamp(min=1)
    known = cost.masked_fill(~finite, 0.0)
    mean = known.sum(dim=1) / count
    spread = (known - mean.unsqueeze(1)).masked_fill(~finite, 0.0).square().sum(dim=1) / count
    squares = weights.square().sum(dim=1)
    return {
        "cost": cost.min(dim=1).values.to(torch.float32),
        "cost_spread": spread.sqrt().to(torch.float32),
        "effective_samples": torch.where(squares > 0, 1.0 / squares, 0.0).to(torch.float32),
    }


def _check_actions(spec: EnvSpec) -> ContinuousActions:
    if not isinstance(spec.actions, ContinuousActions):
        raise ValueError(
            f"{spec.id}: sampling controllers plan continuous actions, and these are discrete; "
            "for games, use a tree search"
        )
    if spec.num_agents != 1:
        raise ValueError(
            f"{spec.id}: sampling controllers plan for one agent, and there are {spec.num_agents}"
        )
    return spec.actions


def _find_dynamics(spec: EnvSpec, dynamics: Dynamics | None) -> Dynamics:
    if dynamics is not None:
        return dynamics
    if spec.dynamics is None:
        raise ValueError(
            f"{spec.id}: there is no model to plan with: the spec names no dynamics and none was "
            "given"
        )
    return spec.dynamics()


def _noise(config: Effort, size: int) -> Tensor:
    if len(config.noise) not in (1, size):
        raise ValueError(
            f"noise needs 1 or {size} numbers, one for each actuator, got {len(config.noise)}"
        )
    return torch.tensor(config.noise).expand(size)
