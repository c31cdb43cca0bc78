"""Search as a policy in a game that many play at once: it sits in any seat of the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl.nn.distributions import MaskedHeads
from simrl.search.agent_evaluators import AgentEvaluator
from simrl.search.agent_model import AgentModel, Outlook, Situation
from simrl.search.config import SearchConfig
from simrl.search.lookahead import LookaheadConfig, lookahead
from simrl.search.model import Evaluator
from simrl.search.search import search

_MIND = "mind/"


class Plans(Protocol):
    """What a search says of B situations and their K candidates."""

    @property
    def plan(self) -> Tensor:
        """What each candidate does, int64 `[B, K, decisions, H]`."""
        ...

    @property
    def policy(self) -> Tensor:
        """The improved policy over the candidates `[B, K]`."""
        ...

    @property
    def q(self) -> Tensor:
        """Value of each candidate `[B, K]`."""
        ...

    @property
    def value(self) -> Tensor:
        """Value of the situation after the search `[B]`."""
        ...


class Planner(Protocol):
    """Search situations."""

    length: int
    """Decisions that a candidate fixes."""
    num_slots: int
    """Candidates K."""

    def __call__(self, situation: Situation, outlook: Outlook, rng: torch.Generator) -> Plans:
        """Search B situations; `outlook` is what everybody made of them."""
        ...


class LookaheadPlanner:
    """Judge candidates by truncated rollouts; see `simrl.search.lookahead`."""

    def __init__(self, model: AgentModel, config: LookaheadConfig | None = None) -> None:
        """Search by `model`."""
        self.model = model
        self.config = config or LookaheadConfig()
        self.length, self.num_slots = self.config.plan, self.config.candidates

    def __call__(self, situation: Situation, outlook: Outlook, rng: torch.Generator) -> Plans:
        """Search B situations."""
        return lookahead(self.model, situation, self.config, rng, outlook=outlook)


@dataclass(frozen=True)
class _TreePlans:
    plan: Tensor
    policy: Tensor
    q: Tensor
    value: Tensor


class TreePlanner:
    """Grow a tree of the agent's own actions; see `simrl.search.search`."""

    length = 1

    def __init__(
        self, model: AgentModel, config: SearchConfig, evaluator: Evaluator | None = None
    ) -> None:
        """Search by `model` with `evaluator`, by default the critic over 8 drawn actions."""
        self.model, self.config = model, config
        self.evaluator = evaluator or AgentEvaluator(model)
        self.num_slots = self.evaluator.num_slots

    def __call__(self, situation: Situation, outlook: Outlook, rng: torch.Generator) -> Plans:
        """Search B situations."""
        root = self.model.pack(self.model.imagine(situation, rng))
        result = search(self.model, self.evaluator, root, self.config, rng)
        assert result.actions is not None  # the evaluator's slots are drawn actions
        return _TreePlans(result.actions[:, :, None], result.policy, result.q, result.value)


@dataclass(frozen=True)
class AgentSearchConfig:
    """Choose how to look ahead, and how often."""

    lookahead: LookaheadConfig = field(default_factory=lambda: LookaheadConfig(plan=2))
    """How candidates are judged."""
    every: int = 2
    """Decisions from one search to the next; between them the plan is played, then the prior."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")


class AgentSearchPolicy:
    """Act by search over a network's own policy, with its critic at the leaves.

    It reads the game itself ("state"), so it sees what the fog hides, and it follows the memories
    of all players, as the model has them act, from the start of the episode on.  It keeps the rest
    of a plan as memory, too; a planned action that has become illegal is replaced by the prior's.

    Extras: "searched" `[rows]` bool; "search_policy", "search_q" `[rows, K]`, "search_value"
    `[rows]` and "search_actions" int64 `[rows, K, H]`, NaN or 0 in rows that did not search;
    "value" `[rows]`, the critic's.
    """

    reads = frozenset({"state"})

    def __init__(self, model: AgentModel, planner: Planner, *, every: int = 1) -> None:
        """Search by `planner` at every `every`-th decision of a row's episode."""
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self.model, self.planner, self.every = model, planner, every

    @classmethod
    def looking_ahead(
        cls, model: AgentModel, config: AgentSearchConfig | None = None
    ) -> AgentSearchPolicy:
        """Search by truncated rollouts."""
        config = config or AgentSearchConfig()
        return cls(model, LookaheadPlanner(model, config.lookahead), every=config.every)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return a memory in which every row is about to search."""
        heads, length = self.model.actions.num_heads, self.planner.length
        return {
            "age": torch.zeros(num_rows, dtype=torch.int64),
            "plan": torch.zeros(num_rows, length, heads, dtype=torch.int64),
            **{_MIND + k: v for k, v in self.model.initial_memory(num_rows).items()},
        }

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Search where it is time and there is a choice; elsewhere follow the plan or the prior.

        With `deterministic` the best of the improved policy is taken, else a draw from it.
        """
        with torch.inference_mode():
            memory = {
                name.removeprefix(_MIND): value
                for name, value in state.items()
                if name.startswith(_MIND)
            }
            situation = Situation(obs["state"], obs["seat"], memory)
            outlook = self.model.look(situation, rng)
            age, plan = state["age"], state["plan"]
            due = (age == 0) & _has_choice(outlook)
            if deterministic:
                action = outlook.prior.mode()
            else:
                action = outlook.action[torch.arange(len(age)), obs["seat"]]
            rows = due.nonzero().squeeze(1)
            extras: dict[str, Tensor] = {"searched": due, "value": outlook.value}
            extras |= self._empty_extras(len(age))
            if len(rows):
                result = self.planner(situation.take(rows), _take(outlook, rows), rng)
                slot = _choose(result, rng, deterministic)
                plan = plan.index_copy(0, rows, result.plan[torch.arange(len(rows)), slot])
                for name, value in _extras(result).items():
                    extras[name].index_copy_(0, rows, value)
            action = self._follow(action, plan, age, outlook)
            following = torch.where(due | (age > 0), (age + 1) % self.every, 0)
            mind = {_MIND + name: value for name, value in outlook.memory.items()}
            return PolicyOutput(action, {"age": following, "plan": plan, **mind}, extras)

    def _follow(self, action: Tensor, plan: Tensor, age: Tensor, outlook: Outlook) -> Tensor:
        """Replace the prior's actions where a plan still says what to do and may."""
        length = plan.shape[1]
        step = age.clamp(max=length - 1)
        planned = plan[torch.arange(len(age)), step]
        legal = self.model.actions.legal(outlook.prior.mask, planned).all(-1)
        use = legal & (age < length) & _has_choice(outlook)
        return torch.where(use[:, None], planned, action)

    def _empty_extras(self, rows: int) -> dict[str, Tensor]:
        slots, heads = self.planner.num_slots, self.model.actions.num_heads
        return {
            "search_policy": torch.full((rows, slots), torch.nan),
            "search_q": torch.full((rows, slots), torch.nan),
            "search_value": torch.full((rows,), torch.nan),
            "search_actions": torch.zeros(rows, slots, heads, dtype=torch.int64),
        }


def _has_choice(outlook: Outlook) -> Tensor:
    """Return where the first head leaves more than one value `[B]`."""
    prior = outlook.prior
    return prior.actions.head_mask(prior.mask, 0).sum(-1) > 1


def _take(outlook: Outlook, rows: Tensor) -> Outlook:
    """Return the outlook of some rows; everybody's memory after it is left out."""
    prior = outlook.prior
    part = MaskedHeads(prior.actions, prior.logits[rows], prior.mask[rows])
    return Outlook(part, outlook.value[rows], outlook.action[rows], {})


def _choose(result: Plans, rng: torch.Generator, deterministic: bool) -> Tensor:
    if deterministic:
        return result.policy.argmax(1)
    return torch.multinomial(result.policy, 1, generator=rng).squeeze(1)


def _extras(result: Plans) -> dict[str, Tensor]:
    return {
        "search_policy": result.policy,
        "search_q": result.q,
        "search_value": result.value,
        "search_actions": result.plan[:, :, 0],
    }
