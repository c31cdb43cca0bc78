"""Look ahead by truncated rollouts: play each candidate on for a while, then trust the critic.

Each candidate action (or short plan of actions) is played, then everybody follows their policies
for some decisions, and the critic values where that led; rounds of sequential halving give the
better candidates more rollouts.  Rollouts of one round share their random numbers over the
candidates, so what they differ by is mostly what the candidates do.  This is the rollout algorithm
of Tesauro and Galperin 1996, "On-line policy improvement using Monte-Carlo search", with a learned
policy on both sides; for games in which one step is too little to build a tree on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from simrl.search.agent_model import AgentModel, Outlook, Situation
from simrl.search.candidates import draw_candidates


@dataclass(frozen=True)
class LookaheadConfig:
    """Choose how much to look ahead, and how far to trust what is seen."""

    candidates: int = 4
    """Candidates K, drawn from the policy without repetition."""
    plan: int = 1
    """Own decisions that a candidate fixes: its first action, then draws of the policy."""
    depth: int = 6
    """Decisions that a rollout plays before the critic is asked."""
    rollouts: int = 2
    """Rollouts of each candidate in the first round."""
    rounds: int = 1
    """Rounds of sequential halving; each drops the worse half and doubles the rollouts."""
    trace: float = 1.0
    """Weight of later values in a rollout's return, as the lambda of TD(lambda); 1: the last."""
    confidence: float = 2.0
    """Nats that a candidate gains per standard error by which it is better than the mean one; 0
    keeps the prior."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, least in (("candidates", 2), ("plan", 1), ("depth", 1), ("rounds", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.rollouts < 2:
            raise ValueError(
                f"rollouts must be at least 2, for their scatter to show, got {self.rollouts}"
            )
        if self.plan > self.depth:
            raise ValueError(f"a plan of {self.plan} decisions needs a depth of at least as many")
        if not 0.0 <= self.trace <= 1.0:
            raise ValueError(f"trace must be within 0 and 1, got {self.trace}")
        if self.confidence < 0.0:
            raise ValueError(f"confidence must not be negative, got {self.confidence}")


@dataclass(frozen=True)
class LookaheadResult:
    """Hold what looking ahead says of B situations and their K candidates."""

    plan: Tensor
    """What each candidate does, int64 `[B, K, plan, H]`."""
    logits: Tensor
    """Prior log-probabilities `[B, K]`; -inf in slots that repeat slot 0."""
    q: Tensor
    """Mean return of each candidate `[B, K]`."""
    error: Tensor
    """Standard error of each mean against the other candidates' `[B, K]`."""
    visits: Tensor
    """Rollouts of each candidate int64 `[B, K]`."""
    policy: Tensor
    """The improved policy over the candidates `[B, K]`: softmax(logits + confidence * z)."""
    value: Tensor
    """What the improved policy is worth `[B]`."""
    outlook: Outlook
    """What everybody made of the situations before."""

    def target(self, step: float) -> Tensor:
        """Return what to teach a policy `[B, K]`: prior * (1 + step * z), cut off at 0.

        Noise in z leaves it as it is in the mean, whereas exp(z) would lift whatever is rare: a
        pupil of many noisy searches would be taught to act at random.
        """
        prior = self.logits.softmax(1)
        z = (self.q - (prior * self.q).sum(1, keepdim=True)) / self.error
        lifted = prior * (1.0 + step * z.clamp(-3.0, 3.0)).clamp_min(0.0)
        return lifted / lifted.sum(1, keepdim=True)


def lookahead(
    model: AgentModel,
    situation: Situation,
    config: LookaheadConfig,
    rng: torch.Generator,
    *,
    outlook: Outlook | None = None,
) -> LookaheadResult:
    """Judge the candidates of B situations by truncated rollouts."""
    if outlook is None:
        outlook = model.look(situation, rng)
    actions, logits = draw_candidates(outlook.prior, config.candidates, rng)
    plan = _draw_plans(model, situation, actions, config.plan, rng)
    tally = _Tally(logits > -math.inf)
    count = config.rollouts
    for number in range(config.rounds):
        tally.add(_round(model, situation, plan, tally.alive, count, config, rng))
        if number + 1 < config.rounds:
            tally.drop_worse_half()
            count *= 2
    return _judge(plan, logits, tally, config, outlook)


def rollout_returns(
    model: AgentModel,
    situation: Situation,
    depth: int,
    rng: torch.Generator,
    *,
    plan: Tensor | None = None,
    uniform: Tensor | None = None,
    trace: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Play R situations on for `depth` decisions; return the returns `[R]` and own actions.

    The agent does `plan` `[R, n, H]` first and then follows its policy, as the others do from the
    start.  `uniform` `[depth, R, A, H]` are the numbers to draw by.  The return counts discounted
    rewards and the critic's values, the last with weight `trace`^(depth - 1), as in TD(lambda).
    The own actions are int64 `[R, depth, H]`.
    """
    own = torch.arange(len(situation.seat))
    steps: list[tuple[Tensor, Tensor]] = []
    values: list[Tensor] = []
    taken: list[Tensor] = []
    for t in range(depth):
        outlook = model.look(situation, rng, None if uniform is None else uniform[t])
        action = outlook.action[own, situation.seat]
        if plan is not None and t < plan.shape[1]:
            legal = model.actions.legal(outlook.prior.mask, plan[:, t]).all(-1, keepdim=True)
            action = torch.where(legal, plan[:, t], action)
        situation, reward, discount = model.advance(situation, outlook, action)
        steps.append((reward, discount))
        values.append(outlook.value)
        taken.append(action)
    total = following = model.look(situation, rng).value
    for t in range(depth - 1, -1, -1):
        reward, discount = steps[t]
        total = reward + discount * (trace * total + (1.0 - trace) * following)
        following = values[t]
    return total, torch.stack(taken, 1)


def _draw_plans(
    model: AgentModel, situation: Situation, first: Tensor, length: int, rng: torch.Generator
) -> Tensor:
    """Draw plans `[B, K, length, H]` that begin with the actions `first` `[B, K, H]`."""
    rows, slots = first.shape[:2]
    if length == 1:
        return first[:, :, None]
    worlds = model.imagine(situation, rng).take(torch.arange(rows).repeat_interleave(slots))
    start = first.flatten(0, 1)[:, None]
    _, taken = rollout_returns(model, worlds, length, rng, plan=start)
    return taken.unflatten(0, (rows, slots))


def _round(
    model: AgentModel,
    situation: Situation,
    plan: Tensor,
    alive: Tensor,
    count: int,
    config: LookaheadConfig,
    rng: torch.Generator,
) -> Tensor:
    """Return the returns `[B, K, count]` of `count` rollouts of each plan `[B, K, n, H]`.

    Rollout i of every candidate of a row meets the same dice: those of its game and of all players.
    Plans that are not `alive` `[B, K]` are not played; their returns are 0.
    """
    rows, slots = alive.shape
    futures = model.imagine(situation.take(torch.arange(rows).repeat_interleave(count)), rng)
    shape = (config.depth, rows * count, model.spec.num_agents, model.actions.num_heads)
    uniform = torch.rand(shape, generator=rng)
    row, slot = alive.nonzero(as_tuple=True)
    world = (row[:, None] * count + torch.arange(count)).flatten()
    played, _ = rollout_returns(
        model,
        futures.take(world),
        config.depth,
        rng,
        plan=plan[row, slot].repeat_interleave(count, 0),
        uniform=uniform[:, world],
        trace=config.trace,
    )
    returns = torch.zeros(rows, slots, count)
    returns[row, slot] = played.unflatten(0, (len(row), count))
    return returns


class _Tally:
    """Add up the returns of B x K candidates, and how they scatter against each other."""

    def __init__(self, alive: Tensor) -> None:
        """Begin with the candidates that are `alive` `[B, K]` bool."""
        self.alive = alive
        self.total = torch.zeros(alive.shape)
        self.visits = torch.zeros(alive.shape)
        self._scatter, self._freedom = torch.zeros(len(alive), 1), torch.zeros(len(alive), 1)

    def add(self, returns: Tensor) -> None:
        """Count the `returns` `[B, K, n]` of the candidates that are alive; 0 for the others."""
        count, alive = returns.shape[2], self.alive.float()
        self.total += returns.sum(2)
        self.visits += count * alive
        # What all candidates gained in one rollout is luck that they shared.
        number = alive.sum(1, keepdim=True)
        apart = returns - returns.sum(1, keepdim=True) / number[:, None].clamp_min(1.0)
        apart = (apart - apart.mean(2, keepdim=True)) * alive[:, :, None]
        self._scatter += apart.square().sum((1, 2))[:, None]
        self._freedom += (number - 1.0).clamp_min(0.0) * (count - 1)

    def drop_worse_half(self) -> None:
        """Keep the better half of the candidates that are alive in each row, but at least two."""
        ranked = self.mean().masked_fill(~self.alive, -math.inf).argsort(1, descending=True)
        place = torch.empty_like(ranked).scatter_(
            1, ranked, torch.arange(ranked.shape[1]).expand_as(ranked)
        )
        keep = ((self.alive.sum(1, keepdim=True) + 1) // 2).clamp_min(2)
        self.alive = self.alive & (place < keep)

    def mean(self) -> Tensor:
        """Return the mean returns `[B, K]`; 0 of what was never played."""
        return self.total / self.visits.clamp_min(1.0)

    def error(self) -> Tensor:
        """Return the standard errors `[B, K]`; the scatter is that of all candidates of a row."""
        variance = self._scatter / self._freedom.clamp_min(1.0)
        return (variance / self.visits.clamp_min(1.0)).sqrt().clamp_min(1e-6)


def _judge(
    plan: Tensor, logits: Tensor, tally: _Tally, config: LookaheadConfig, outlook: Outlook
) -> LookaheadResult:
    """Turn returns into an improved policy that moves only as far as they are certain."""
    q, error = tally.mean(), tally.error()
    prior = logits.softmax(1)
    z = (q - (prior * q).sum(1, keepdim=True)) / error
    policy = (logits + config.confidence * z).softmax(1)
    return LookaheadResult(
        plan, logits, q, error, tally.visits.long(), policy, (policy * q).sum(1), outlook
    )
