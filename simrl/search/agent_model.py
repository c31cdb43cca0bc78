"""One agent's actions in a game that many play at once, as a model that a search steps.

The agent's own joint action is what a search chooses; all others act by given policies, whose
memories travel with the game.  So a situation is the game's bytes, the agent's seat and the memory
of every player, and it packs into one row of bytes for the tree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.dynamics import ObservedDynamics
from simrl.core.policy import Policy
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, PolicyState
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import MaskedHeads
from simrl.search.model import Transition

Reseed = Callable[[Tensor, torch.Generator], Tensor]
"""Give games uint8 `[B, S]` new random streams, so that nobody foresees what chance will bring."""


@dataclass(frozen=True)
class Situation:
    """Hold B games as one agent of each stands in them, just before everybody looks and acts."""

    game: Tensor
    """Snapshots uint8 `[B, S]`."""
    seat: Tensor
    """The searched agent, int64 `[B]`."""
    memory: PolicyState
    """Memory of the players, `player/name` -> `[B, seats of that player, ...]`."""

    def take(self, rows: Tensor) -> Situation:
        """Return the situations `rows` `[R]` int64, in this order; they may repeat."""
        memory = {name: value[rows] for name, value in self.memory.items()}
        return Situation(self.game[rows], self.seat[rows], memory)


@dataclass(frozen=True)
class Outlook:
    """Hold what everybody makes of B situations."""

    prior: MaskedHeads
    """How the searched agent would act, B rows."""
    value: Tensor
    """What its critic expects, the sum over the reward groups `[B]`."""
    action: Tensor
    """A joint action drawn from everybody's policies, int64 `[B, A, H]`."""
    memory: PolicyState
    """Everybody's memory after looking, laid out as in `Situation`."""


class AgentModel:
    """Step games for one agent in each, while the others follow their policies; a `Model`.

    Rewards and values are in one unit where the run's learner added the critic's groups up as they
    are (`PPOLearner.prepare` does, and its network gives values in units of reward).  Groups with
    discounts of their own are all discounted by `gamma` between a decision and the leaf.
    """

    def __init__(
        self,
        dynamics: ObservedDynamics,
        spec: EnvSpec,
        net: ActorCritic,
        *,
        gamma: float,
        enemies: Policy | None = None,
        allies: Policy | None = None,
        reseed: Reseed | None = None,
    ) -> None:
        """Search for the agent whose policy and values `net` gives.

        Args:
            dynamics: The game's rules, with what agents see.
            spec: The environment's spec.
            net: Actor and critic of the searched agent; in evaluation mode.
            gamma: The discount that `net` was trained with.
            enemies: Policy of all seats of other teams; None: `net` itself.
            allies: Policy of the other seats of the agent's team; None: `net` itself.
            reseed: Draws the games' random streams anew before they are played on; None: those of
                the snapshots are followed, so that a search foresees the game's own dice.

        Raises:
            ValueError: The network does not fit `spec`, or its actions are continuous.
        """
        if not isinstance(spec.actions, DiscreteActions):
            raise ValueError(f"{spec.id}: an AgentModel needs discrete actions")
        if net.spec.id != spec.id or net.actions != spec.actions:
            raise ValueError(f"a network for {net.spec.id} cannot search in {spec.id}")
        if not 0.0 < gamma <= 1.0:
            raise ValueError(f"gamma must be above 0 and at most 1, got {gamma}")
        self.dynamics, self.spec, self.net, self.gamma = dynamics, spec, net, gamma
        self.actions: DiscreteActions = spec.actions
        self._reseed = reseed
        self._order, own, foes = _seat_order(spec)
        columns: dict[Policy | None, list[int]] = {None: [0]}
        for policy, part in ((allies, own), (enemies, foes)):
            same = policy is None or getattr(policy, "net", None) is net
            columns.setdefault(None if same else policy, []).extend(part)
        self._players = [
            _Player(f"{number}/", policy, torch.tensor(part), net)
            for number, (policy, part) in enumerate(columns.items())
            if part
        ]
        memory = self.initial_memory(1)
        self._shapes = {name: memory[name].shape[1:] for name in sorted(memory)}

    @property
    def state_size(self) -> int:
        """Bytes of one packed situation."""
        floats = sum(shape.numel() for shape in self._shapes.values())
        return self.spec.state_size + 8 + 4 * floats

    def initial_memory(self, num_rows: int) -> dict[str, Tensor]:
        """Return everybody's memory at the start of an episode, each `[num_rows, seats, ...]`."""
        memory: dict[str, Tensor] = {}
        for player in self._players:
            memory |= player.initial_memory(num_rows)
        return memory

    def situation(self, game: Tensor, seat: Tensor, memory: PolicyState) -> Situation:
        """Make situations of games in which the network plays everybody.

        memory: the network's memory of each agent, `[B, A, ...]` in the order of the agents.
        ValueError if the model seats somebody else.
        """
        if len(self._players) > 1:
            raise ValueError("the model seats other policies beside the network's")
        order = self._order[seat]
        rows = torch.arange(len(seat))[:, None]
        sorted_memory = {f"0/{name}": value[rows, order] for name, value in memory.items()}
        return Situation(game, seat, sorted_memory)

    def seen(self, situation: Situation) -> dict[str, Tensor]:
        """Return what the searched agent sees: the groups that its network reads, `[B, ...]`."""
        obs = self.dynamics.observe(situation.game)
        rows = torch.arange(len(situation.seat))
        return {name: obs[name][rows, situation.seat] for name in sorted(self.net.reads)}

    @torch.no_grad()
    def look(
        self, situation: Situation, rng: torch.Generator, uniform: Tensor | None = None
    ) -> Outlook:
        """Let everybody see the games and choose.

        `uniform` `[B, A, H]` from [0, 1) replaces `rng` for whoever acts by the network: column 0
        is the searched agent, then its allies, then its enemies.
        """
        count, agents = situation.game.shape[0], self.spec.num_agents
        obs = self.dynamics.observe(situation.game)
        seats = self._order[situation.seat]
        if uniform is None:
            uniform = torch.rand(count, agents, self.actions.num_heads, generator=rng)
        action = torch.zeros(count, agents, self.actions.num_heads, dtype=torch.int64)
        memory: dict[str, Tensor] = {}
        prior: MaskedHeads | None = None
        value = torch.zeros(count)
        for player in self._players:
            sat = seats[:, player.columns]
            seen = player.see(obs, sat)
            before = player.recall(situation.memory)
            if player.policy is None:
                dist, values, kept = self.net.act_step(seen, before)
                assert isinstance(dist, MaskedHeads)  # discrete actions
                after: PolicyState = kept
                chosen, _ = dist.draw(uniform[:, player.columns].flatten(0, 1))
                first = slice(None, None, sat.shape[1])  # column 0 is the searched agent
                prior = MaskedHeads(self.actions, dist.logits[first], dist.mask[first])
                value = values[first].sum(-1)
            else:
                output = player.policy.act(seen, before, rng)
                chosen, after = output.action, output.state
            action[torch.arange(count)[:, None], sat] = chosen.unflatten(0, sat.shape)
            memory |= player.keep(after, count)
        assert prior is not None  # the searched agent is always one of the network's seats
        return Outlook(prior, value, action, memory)

    def advance(
        self, situation: Situation, outlook: Outlook, action: Tensor
    ) -> tuple[Situation, Tensor, Tensor]:
        """Play `action` `[B, H]` against what the others chose: next situation, reward, discount.

        Reward `[B]` and discount `[B]` (gamma, or 0 where the task ended) are the agent's.
        """
        joint = outlook.action.clone()
        joint[torch.arange(len(joint)), situation.seat] = action
        game, reward, discount = self.dynamics.step(situation.game, joint)
        own = reward.gather(1, situation.seat[:, None]).squeeze(1)
        return Situation(game, situation.seat, outlook.memory), own, self.gamma * discount

    def imagine(self, situation: Situation, rng: torch.Generator) -> Situation:
        """Return the situations with the games' own dice thrown anew, if the model can do so."""
        if self._reseed is None:
            return situation
        game = self._reseed(situation.game, rng)
        return Situation(game, situation.seat, situation.memory)

    def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
        """Play `action` int64 `[B, H]` in packed situations; the others draw theirs by `rng`."""
        situation = self.unpack(state)
        outlook = self.look(situation, rng)
        following, reward, discount = self.advance(situation, outlook, action)
        return Transition(self.pack(following), reward, discount)

    def pack(self, situation: Situation) -> Tensor:
        """Lay game, seat and memory side by side, uint8 `[B, state_size]`."""
        parts = [situation.game, situation.seat[:, None].contiguous().view(torch.uint8)]
        for name in self._shapes:
            flat = situation.memory[name].flatten(1).float().contiguous()
            parts.append(flat.view(torch.uint8))
        return torch.cat(parts, 1)

    def unpack(self, state: Tensor) -> Situation:
        """Undo `pack`; ValueError if the rows have another length."""
        if state.dtype != torch.uint8 or state.ndim != 2 or state.shape[1] != self.state_size:
            raise ValueError(
                f"{self.spec.id}: expected packed situations uint8 [B, {self.state_size}], got "
                f"{state.dtype} {list(state.shape)}"
            )
        start = self.spec.state_size
        seat = state[:, start : start + 8].clone().view(torch.int64).squeeze(1)
        start, memory = start + 8, {}
        for name, shape in self._shapes.items():
            stop = start + 4 * shape.numel()
            memory[name] = state[:, start:stop].clone().view(torch.float32).unflatten(1, shape)
            start = stop
        return Situation(state[:, : self.spec.state_size], seat, memory)


class _Player:
    """Hold one policy, or the network itself, and the columns of the seat order where it sits."""

    def __init__(
        self, prefix: str, policy: Policy | None, columns: Tensor, net: ActorCritic
    ) -> None:
        self.policy, self.columns, self._prefix = policy, columns, prefix
        self._initial = net.initial_state if policy is None else policy.initial_state
        self._reads = sorted((net.reads if policy is None else policy.reads) - {"seat"})

    def initial_memory(self, num_rows: int) -> dict[str, Tensor]:
        return self.keep(self._initial(num_rows * len(self.columns)), num_rows)

    def keep(self, memory: PolicyState, num_rows: int) -> dict[str, Tensor]:
        """Name rows of memory `[num_rows * seats, ...]` as part of everybody's."""
        shape = (num_rows, len(self.columns))
        for name, value in memory.items():
            if value.dtype != torch.float32:
                raise ValueError(f"the memory {name!r} is {value.dtype}, only float32 travels")
        return {self._prefix + name: value.unflatten(0, shape) for name, value in memory.items()}

    def recall(self, memory: PolicyState) -> dict[str, Tensor]:
        """Undo `keep`."""
        return {
            name.removeprefix(self._prefix): value.flatten(0, 1)
            for name, value in memory.items()
            if name.startswith(self._prefix)
        }

    def see(self, obs: Obs, sat: Tensor) -> dict[str, Tensor]:
        """Return what its seats `sat` `[B, seats]` are shown, each `[B * seats, ...]`."""
        count, agents = obs["policy"].shape[:2]
        rows = (sat + agents * torch.arange(count)[:, None]).flatten()
        seen = {"seat": sat.flatten()}
        for name in self._reads:
            whole = name == "state"  # belongs to the game, not to an agent
            seen[name] = obs[name][rows // agents] if whole else obs[name].flatten(0, 1)[rows]
        return seen


def _seat_order(spec: EnvSpec) -> tuple[Tensor, list[int], list[int]]:
    """Return the seats as each agent counts them `[A, A]`, and its allies' and enemies' columns.

    Column 0 is the agent itself.
    """
    agents = range(spec.num_agents)
    order = []
    for own in agents:
        allies = [a for a in agents if a != own and spec.teams[a] == spec.teams[own]]
        enemies = [a for a in agents if spec.teams[a] != spec.teams[own]]
        order.append([own, *allies, *enemies])
    sizes = {spec.teams.count(team) for team in spec.teams}
    if len(sizes) > 1:
        raise ValueError(f"{spec.id}: teams must be of one size, got {spec.teams}")
    size = sizes.pop()
    return torch.tensor(order), list(range(1, size)), list(range(size, spec.num_agents))
