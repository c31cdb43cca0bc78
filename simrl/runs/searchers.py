"""Turn what a person types into a player that searches: `mcts:1000`, `search:RUN:simulations=64`.

The words after the kind are NAME=VALUE options, parted by colons as those of controllers; the
number of simulations may come first without its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from simrl.core.dynamics import TurnDynamics
from simrl.core.plugins import make_config, make_dynamics
from simrl.core.policy import Policy
from simrl.core.spec import EnvSpec
from simrl.runs.config import is_run, run_config
from simrl.runs.options import parse_options
from simrl.runs.policies import SEARCHES, load_run_network, split_words
from simrl.search.config import Rule, SearchConfig, UctConfig
from simrl.search.evaluators import NetworkEvaluator
from simrl.search.policy import SearchPolicy, SearchPolicyConfig, quiet
from simrl.search.random_rollouts import RolloutConfig, RolloutEvaluator
from simrl.search.turn_model import TurnModel

Builder = Callable[[str, EnvSpec, Mapping[str, Any]], Policy]


@dataclass(frozen=True)
class MctsPlayer:
    """Search with random rollouts; no training needed."""

    simulations: int = 1000
    """Simulations of each move."""
    seconds: float = 0.0
    """Time for each move [s]; 0: no limit.  With both, whichever ends first."""
    exploration: float = 2.0
    """Constant of UCT."""
    rollouts: int = 1
    """Random games from each leaf."""
    solve: bool = True
    """Whether proven wins, draws and losses are backed up."""
    look_ahead: int = 2
    """Plies that a new position is looked ahead for wins at hand: 0, 1 or 2."""
    reuse: bool = False
    """Whether a move's search goes on from the last one's."""


@dataclass(frozen=True)
class NetworkPlayer:
    """Search with a run's network as prior and value.

    For a run of expert iteration, what is not given is as in its evaluations.
    """

    simulations: int = 64
    """Simulations of each move."""
    seconds: float = 0.0
    """Time for each move [s]; 0: no limit.  With both, whichever ends first."""
    rule: Rule = "gumbel"
    """How slots are chosen: "puct", "gumbel" or "uct"."""
    noise: bool = False
    """Whether it draws at the root as in training, so that two of them play more than one game."""
    solve: bool = False
    """Whether proven wins, draws and losses are backed up."""
    reuse: bool = False
    """Whether a move's search goes on from the last one's."""


def search_player(name: str, spec: EnvSpec, env_options: Mapping[str, Any]) -> Policy:
    """Build the searching player called `name`.

    `mcts[:SIMULATIONS][:NAME=VALUE...]` has the options of `MctsPlayer`;
    `search:RUN[@WHICH][:SIMULATIONS][:NAME=VALUE...]` those of `NetworkPlayer`, or where many play
    at once those of `simrl.runs.agent_search.agent_search_player`; `openspiel[:SIMULATIONS]...`
    those of `simrl.adapters.open_spiel.OpenSpielConfig`.  ValueError names what does not fit.
    """
    kind, _, rest = name.partition(":")
    if kind not in SEARCHES:
        raise ValueError(f"unknown search {kind!r}; the searches are {', '.join(SEARCHES)}")
    build: Builder = dict(zip(SEARCHES, (_mcts, _network, _open_spiel), strict=True))[kind]
    return build(rest, spec, env_options)


def _mcts(rest: str, spec: EnvSpec, env_options: Mapping[str, Any]) -> Policy:
    player: MctsPlayer = make_config(MctsPlayer, _options(split_words(rest)), "mcts")
    dynamics = _turns("mcts", spec, env_options)
    config = SearchConfig(
        simulations=player.simulations,
        seconds=player.seconds,
        rule="uct",
        solve=player.solve,
        uct=UctConfig(exploration=player.exploration),
    )
    rollouts = RolloutConfig(rollouts=player.rollouts, look_ahead=player.look_ahead)
    return SearchPolicy(
        TurnModel(dynamics, spec),
        RolloutEvaluator(dynamics, spec, rollouts),
        SearchPolicyConfig(config, reuse=player.reuse),
    )


def _network(rest: str, spec: EnvSpec, env_options: Mapping[str, Any]) -> Policy:
    from simrl.runs.agent_search import agent_search_player
    from simrl.runs.expert import expert_config, is_expert_run

    run, *words = split_words(rest)
    folder, _, which = run.partition("@")
    if not is_run(folder):
        raise ValueError(f"search:{rest}: give a run's folder, {folder!r} is none")
    trained = run_config(folder)
    if trained.env != spec.id:
        raise ValueError(f"{folder} was trained in {trained.env}, it cannot play {spec.id}")
    options = _options(words)
    if not isinstance(make_dynamics(spec.id, **env_options), TurnDynamics):
        return agent_search_player(folder, which, options, spec, env_options)
    player: NetworkPlayer = make_config(NetworkPlayer, options, "search")
    dynamics = _turns("search", spec, env_options)
    given = {name: getattr(player, name) for name in ("simulations", "seconds", "rule", "solve")}
    config = SearchConfig(**given)
    if is_expert_run(folder):
        asked = {name: value for name, value in given.items() if name in options}
        config = replace(expert_config(folder).play, **asked)
    return SearchPolicy(
        TurnModel(dynamics, spec, gamma=trained.ppo.gamma),
        NetworkEvaluator(load_run_network(folder, which), dynamics, spec),
        SearchPolicyConfig(config if player.noise else quiet(config), reuse=player.reuse),
    )


def _open_spiel(rest: str, spec: EnvSpec, env_options: Mapping[str, Any]) -> Policy:
    try:
        from simrl.adapters.open_spiel import OpenSpielConfig, OpenSpielMCTS
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from error
    return OpenSpielMCTS(
        spec, make_config(OpenSpielConfig, _options(split_words(rest)), "openspiel")
    )


def _turns(kind: str, spec: EnvSpec, env_options: Mapping[str, Any]) -> TurnDynamics:
    dynamics = make_dynamics(spec.id, **env_options)
    if not isinstance(dynamics, TurnDynamics):
        raise ValueError(f"{kind} searches games in which one agent moves at a time, not {spec.id}")
    return dynamics


def _options(words: list[str]) -> dict[str, Any]:
    """Read options, of which the first may be the bare number of simulations."""
    if words and words[0].isdigit():
        words = [f"simulations={words[0]}", *words[1:]]
    return parse_options([word for word in words if word])
