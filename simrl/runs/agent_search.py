"""Turn a trained run into an agent that searches: its policy as prior, its critic at the leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simrl.core.dynamics import ObservedDynamics
from simrl.core.plugins import make_config, make_dynamics
from simrl.core.policy import Policy
from simrl.core.spec import EnvSpec
from simrl.nn.actor_critic import ActorCritic
from simrl.runs.config import run_config
from simrl.runs.policies import load_run_network, named_policy
from simrl.search.agent_model import AgentModel, Reseed
from simrl.search.agent_policy import AgentSearchConfig, AgentSearchPolicy
from simrl.search.lookahead import LookaheadConfig


def agent_model(
    folder: Path | str,
    which: str,
    spec: EnvSpec,
    env_options: Mapping[str, Any],
    *,
    enemies: Policy | None = None,
    net: ActorCritic | None = None,
    reseed: Reseed | None = None,
) -> AgentModel:
    """Build the model in which a run's agent searches, with the run's own discount.

    `which` says which weights, as in `named_policy`; `net` replaces them.  `enemies` is whom the
    search expects to meet; None: the run itself.  Where the game's dynamics has a method `reseed`,
    or one is given, the search throws the game's dice anew instead of foreseeing them.

    Raises ValueError if the environment has no dynamics that shows what agents see.
    """
    config = run_config(folder)
    if config.env != spec.id:
        raise ValueError(f"{folder} was trained in {config.env}, it cannot search in {spec.id}")
    dynamics = make_dynamics(spec.id, **env_options)
    if not isinstance(dynamics, ObservedDynamics):
        raise ValueError(f"the dynamics of {spec.id} does not show what agents see")
    return AgentModel(
        dynamics,
        spec,
        net or load_run_network(folder, which),
        gamma=config.ppo.gamma,
        enemies=enemies,
        reseed=reseed or getattr(dynamics, "reseed", None),
    )


def agent_search_policy(
    folder: Path | str,
    which: str,
    spec: EnvSpec,
    env_options: Mapping[str, Any],
    config: AgentSearchConfig | None = None,
    *,
    enemies: Policy | None = None,
    reseed: Reseed | None = None,
) -> AgentSearchPolicy:
    """Build a policy that looks ahead by a run's network; see `agent_model`."""
    model = agent_model(folder, which, spec, env_options, enemies=enemies, reseed=reseed)
    return AgentSearchPolicy.looking_ahead(model, config)


def agent_search_player(
    folder: Path | str,
    which: str,
    options: Mapping[str, Any],
    spec: EnvSpec,
    env_options: Mapping[str, Any],
) -> AgentSearchPolicy:
    """Build a searching player from options that people type, such as {"candidates": 8}.

    They are the fields of `LookaheadConfig`, "every" (default: as long as a plan), and "enemy": the
    name of whom the search expects to meet, as in `named_policy`.  ValueError names an unknown one,
    with the valid ones.
    """
    fields = [field.name for field in dataclasses.fields(LookaheadConfig)]
    for name in options:
        if name not in (*fields, "every", "enemy"):
            raise ValueError(
                f"a search has no option {name!r}; its options are {', '.join(fields)}, every and "
                "enemy"
            )
    looks = make_config(
        LookaheadConfig, {k: v for k, v in options.items() if k in fields}, "a search"
    )
    enemy = options.get("enemy")
    enemies = None if enemy is None else named_policy(str(enemy), spec, env_options)
    config = AgentSearchConfig(looks, int(options.get("every", looks.plan)))
    return agent_search_policy(folder, which, spec, env_options, config, enemies=enemies)
