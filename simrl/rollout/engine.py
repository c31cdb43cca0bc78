"""The one loop that runs policies in environments, for learning and for evaluation alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simrl.core import Obs, TimeStep, VecEnv
from simrl.core.seeding import child_seed, torch_generator
from simrl.rollout.buffer import RolloutBuffer
from simrl.rollout.episodes import EpisodeTable, join_sorted
from simrl.rollout.ledger import Ledger
from simrl.rollout.observer import Observer, ObserverSet, StepRecord
from simrl.rollout.plan import Act, SeatPlan, action_dtype, action_width
from simrl.rollout.seating import Matchmaker, Seating, check_seated
from simrl.rollout.store import BufferStore
from simrl.rollout.threads import choose_threads, torch_threads
from simrl.rollout.transfer import canonical_device, device_of


@dataclass
class Timing:
    """Add up where wall time went [s]."""

    env_s: float = 0.0
    """Inside `env.step`."""
    act_s: float = 0.0
    """Gathering rows, inside `Policy.act`, scattering actions."""
    total_s: float = 0.0
    """The whole loop, the buffer and the observers included."""
    steps: int = 0
    """Steps of all environments together."""

    def clear(self) -> None:
        """Start from zero."""
        self.env_s = self.act_s = self.total_s = 0.0
        self.steps = 0


class RolloutEngine:
    """Let the policies of a seating play an environment.

    env writes obs → policies act → env steps → buffer and observers see it.  The engine resets the
    memory of finished episodes and draws each policy's random numbers from that policy's own
    stream.  The same seed gives the same bits on one number of torch threads.

    A policy that lives on a GPU says so by an attribute `device`; all others get their rows where
    the environment keeps them.

    Attributes:
        env: The environment.
        seating: Who sits where.
        timing: Wall time spent so far; `timing.clear()` starts anew.
    """

    def __init__(
        self,
        env: VecEnv,
        seating: Seating,
        *,
        seed: int,
        matchmaker: Matchmaker | None = None,
        observers: Sequence[Observer] = (),
        device: torch.device | str = "cpu",
        threads: int | None = None,
    ) -> None:
        """Prepare; the environment is reset by the first step.

        Args:
            env: N environments.
            seating: Policies at its N x A seats.
            seed: Makes the streams of the environment and of each policy.
            matchmaker: Chooses opponents where episodes start; None leaves the seating as it is.
            observers: Called at every step.
            device: Where the buffer of `collect` lives: the learner's device.
            threads: Torch threads while rolling out; None chooses by the number of rows.

        Raises:
            ValueError: The seating has other numbers of rows or agents than the environment.
        """
        shape = (env.num_envs, env.spec.num_agents)
        if tuple(seating.policy_index.shape) != shape:
            raise ValueError(
                f"the seating is for {list(seating.policy_index.shape)} seats, but {env.spec.id} "
                f"has {list(shape)}"
            )
        self.env, self.seating, self.timing = env, seating, Timing()
        self._seed, self._matchmaker = seed, matchmaker
        self._observers = ObserverSet(observers)
        self._device = canonical_device(device)
        self._threads = threads
        self._plan = SeatPlan(seating, env.spec, env.device)
        self._generators: dict[str, torch.Generator] = {}
        self._obs: Obs | None = None
        self._resets = self._step = 0
        self._known = 0
        self._store: BufferStore | None = None
        self._timestep: TimeStep
        self._action = self._empty_action()
        self._ledger = Ledger(env.spec, env.num_envs)
        self._request()

    def collect(self, num_steps: int) -> RolloutBuffer:
        """Play `num_steps` of every environment and return the training seats' buffer.

        Continues where the last call stopped.  The buffer is the same object each time, filled
        anew.  ValueError if no seat trains.
        """
        if num_steps < 1:
            raise ValueError(f"num_steps must be at least 1, got {num_steps}")
        name = self.seating.training_policy
        if name is None:
            raise ValueError("no seat of the seating trains, so there is nothing to collect")
        with torch.inference_mode():
            self._ready()
        store = self._store_for(num_steps, name)
        begin = time.perf_counter()
        with torch.inference_mode(), torch_threads(self._num_threads()):
            store.begin(self._plan.seated[name].state)
            for t in range(num_steps):
                self._advance(store, t)
        buffer = store.finish(self._current())
        self.timing.total_s += time.perf_counter() - begin
        return buffer

    def run_episodes(self, num_episodes: int, *, deterministic: bool = False) -> EpisodeTable:
        """Reset everything, play exactly `num_episodes` episodes and return them.

        Each row's share is fixed beforehand: n // N episodes, and one more in the first n % N rows.
        So long episodes count as much as short ones.  With fewer episodes than rows only the first
        `num_episodes` rows count: make no more environments than episodes.
        """
        if num_episodes < 1:
            raise ValueError(f"num_episodes must be at least 1, got {num_episodes}")
        rows = self.env.num_envs
        quota = np.full(rows, num_episodes // rows)
        quota[: num_episodes % rows] += 1
        tables: list[EpisodeTable] = []
        begin = time.perf_counter()
        with torch.inference_mode(), torch_threads(self._num_threads()):
            self.reset()
            while (self._ledger.episode < quota).any():
                table = self._advance(deterministic=deterministic, tabulate=True)
                if table is not None:
                    tables.append(table.select(table.episode < quota[table.env_row]))
        self.timing.total_s += time.perf_counter() - begin
        return join_sorted(tables)

    def step(self, *, deterministic: bool = False) -> TimeStep:
        """Play one step of every environment and return what the environment answered."""
        begin = time.perf_counter()
        with torch.inference_mode(), torch_threads(self._num_threads()):
            self._ready()
            self._advance(deterministic=deterministic)
        self.timing.total_s += time.perf_counter() - begin
        return self._timestep

    def reset(self, snapshot: Tensor | None = None) -> None:
        """Start new episodes everywhere, with the next seed of the environment's stream.

        With a `snapshot` `[K, S]` the first K environments start from these states instead.
        """
        self._obs = self.env.reset(child_seed(self._seed, f"env/{self._resets}"))
        if snapshot is not None:
            rows = torch.arange(len(snapshot), device=self.env.device)
            self._obs = self.env.restore(snapshot, rows)
        self._resets += 1
        self._ledger.clear()
        self._begin_episodes(np.arange(self.env.num_envs))

    def replace_env(self, env: VecEnv) -> None:
        """Play `env` from now on, from new episodes; those under way are cut off and not counted.

        ValueError unless it shows, takes and pays the same as the old one, in as many rows.
        """
        old, new = self.env.spec, env.spec
        for name in ("num_agents", "observations", "actions", "reward_terms", "metrics"):
            if getattr(old, name) != getattr(new, name):
                raise ValueError(f"{new.id}: its {name} differ from those of the one it replaces")
        if env.num_envs != self.env.num_envs:
            raise ValueError(
                f"{new.id}: {env.num_envs} environments cannot replace {self.env.num_envs}"
            )
        self.env = env
        self._request()
        if self._resets:
            with torch.inference_mode():
                self.reset()

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to continue bit for bit: tensors, names, numbers.

        The weights of the policies and the matchmaker's own state are their owners' to save.
        """
        with torch.inference_mode():
            self._ready()
        names = self.seating.names
        return {
            "env": self.env.snapshot().clone(),
            "policy_index": self.seating.policy_index.clone(),
            "policies": list(names),
            "generators": {name: self._generator(name).get_state() for name in names},
            "states": {
                name: {key: value.clone() for key, value in seated.state.items()}
                for name, seated in self._plan.seated.items()
            },
            "ledger": self._ledger.state_dict(),
            "resets": self._resets,
            "step": self._step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`; the seating must know every policy by the same name."""
        numbers = torch.tensor([self.seating.index_of(name) for name in state["policies"]])
        self.seating.policy_index.copy_(numbers[state["policy_index"]])
        self.seating.check()
        self._plan = SeatPlan(self.seating, self.env.spec, self.env.device)
        self._store = None
        for name, values in state["states"].items():
            seated = self._plan.seated[name]
            seated.state = {key: value.to(seated.device) for key, value in values.items()}
        for name, values in state["generators"].items():
            self._generator(name).set_state(values)
        self._ledger.load_state_dict(state["ledger"])
        self._resets, self._step = int(state["resets"]), int(state["step"])
        self._request()
        self._obs = self.env.restore(state["env"])

    def _advance(
        self,
        store: BufferStore | None = None,
        t: int = 0,
        *,
        deterministic: bool = False,
        tabulate: bool = False,
    ) -> EpisodeTable | None:
        """Play one step; return the episodes that ended in it, if somebody wants the table."""
        clock = time.perf_counter
        obs = self._current()
        begin = clock()
        acts = [
            seated.act(
                obs,
                self._generator(seated.name),
                deterministic,
                store.slots(t) if store is not None and seated is store.seated else None,
            )
            for seated in self._plan.seated.values()
        ]
        action = self._joint(acts)
        acted = clock()
        own: Act | None = None
        if store is not None:
            own = next(act for act in acts if act.name == store.seated.name)
            store.put_act(t, own, self._ledger.start_tensor)
        if self._observers.act or self._observers.step:
            record = StepRecord(self._step, obs, action, acts)
        for observer in self._observers.act:
            observer.on_act(record)
        before = clock()
        timestep = self.env.step(action)
        self.timing.env_s += clock() - before
        self.timing.act_s += acted - begin
        self.timing.steps += 1
        self._step += 1
        ended = self._ledger.count(timestep)
        if store is not None and own is not None:
            store.put_step(t, own, timestep, ended is not None)
        for observer in self._observers.step:
            observer.on_step(record, timestep)
        self._timestep, self._obs = timestep, timestep.obs
        return None if ended is None else self._end_episodes(timestep, ended, tabulate)

    def _end_episodes(
        self, timestep: TimeStep, rows: np.ndarray, tabulate: bool
    ) -> EpisodeTable | None:
        table = None
        if tabulate or self._observers.episodes:
            table = self._ledger.tabulate(timestep, rows, self.seating)
            for observer in self._observers.episodes:
                observer.on_episodes(table)
        self._ledger.close(rows)
        self._begin_episodes(rows)
        return table

    def _begin_episodes(self, rows: np.ndarray) -> None:
        """Seat opponents in the rows that start, and give everybody there a fresh memory."""
        if self._matchmaker is not None:
            starting = torch.from_numpy(rows)
            before = self.seating.policy_index.clone()
            self._matchmaker.seat(starting, self.seating)
            check_seated(before, self.seating, starting)
            if self._plan.update() and self._store is not None:
                self._store.follow(self._plan.seated[self._store.seated.name])
            if self._known != len(self.seating.policies):
                self._request()
                self._obs = None
        for seated in self._plan.seated.values():
            seated.reset(rows)

    def _request(self) -> None:
        """Ask the environment for what the policies read, and for nothing else."""
        wanted = self.seating.reads() | self._observers.reads
        self.env.request(sorted(wanted - {"seat"}))
        self._known = len(self.seating.policies)

    def _ready(self) -> None:
        if self._resets == 0:
            self.reset()

    def _current(self) -> Obs:
        """Return the observations to act on; show them anew if other groups were asked for."""
        if self._obs is None:
            self._obs = self.env.restore(self.env.snapshot())
        return self._obs

    def _joint(self, acts: Sequence[Act]) -> Tensor:
        """Return the joint action `[N, A, ...]` on the environment's device."""
        if len(acts) == 1:
            return acts[0].action.reshape(self._action.shape)
        flat = self._action.flatten(0, 1)
        for act in acts:
            flat.index_copy_(0, act.rows, act.action)
        return self._action

    def _generator(self, name: str) -> torch.Generator:
        """Return the policy's own stream: adding an opponent does not change the others' draws."""
        if name not in self._generators:
            seated = self._plan.seated.get(name)
            policy = self.seating.policies[name]
            device = seated.device if seated else device_of(policy, self.env.device)
            self._generators[name] = torch_generator(self._seed, f"policy/{name}", device)
        return self._generators[name]

    def _store_for(self, num_steps: int, name: str) -> BufferStore:
        seated = self._plan.seated[name]
        store = self._store
        if store is None or store.buffer.unroll != num_steps or store.seated.name != name:
            store = BufferStore(
                num_steps,
                self.env.spec,
                self.seating.trains,
                seated,
                self._current(),
                self._action,
                self._device,
            )
            self._store = store
        elif store.seated is not seated:
            store.follow(seated)
        return store

    def _num_threads(self) -> int:
        if self._threads is not None:
            return self._threads
        return choose_threads(max(len(seated.rows) for seated in self._plan.seated.values()))

    def _empty_action(self) -> Tensor:
        actions = self.env.spec.actions
        shape = (self.env.num_envs, self.env.spec.num_agents, action_width(actions))
        return torch.zeros(shape, dtype=action_dtype(actions), device=self.env.device)
