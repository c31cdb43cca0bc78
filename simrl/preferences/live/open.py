"""Make a live session of what a question says."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simrl.core import EnvSpec, Policy
from simrl.core.plugins import env_plugin, make_config
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.preferences.clips.clip import as_options
from simrl.preferences.clips.library import ClipLibrary
from simrl.preferences.coach import CoachLearner
from simrl.preferences.live.protocol import LiveConfig
from simrl.preferences.live.session import LiveSession
from simrl.preferences.live.stage import LiveLearner, LiveTask
from simrl.preferences.tamer import TamerLearner
from simrl.rollout.random import RandomPolicy

MakePolicy = Callable[[str, EnvSpec, Mapping[str, Any]], Policy]
"""Builds a policy for an environment and its options: `make_policy(name, spec, options)`."""

LEARNERS = ("", "tamer", "coach")


def open_session(
    kind: str,
    clips: Sequence[str],
    settings: Mapping[str, Any],
    library: ClipLibrary,
    make_policy: MakePolicy,
    *,
    seed: int = 0,
    config: LiveConfig | None = None,
    learner: LiveLearner | None = None,
) -> LiveSession:
    """Make the session of a question of kind "live" or "correct".

    "live" plays what `settings` say: env, env_options, policies (a name, or one for each seat),
    seat, learner ("", "tamer", "coach") and seed; what is missing is taken from its clip, if it has
    one; other settings are the page's own.  "correct" takes over its clip.  A `learner` given here
    goes on learning in this session.

    Raises:
        ValueError: The kind, a setting or a name is unknown, or a clip is missing.
    """
    if kind == "correct":
        task = _correction(clips, library, make_policy, seed)
    elif kind == "live":
        task = _live(clips, settings, library, make_policy, seed, learner)
    else:
        raise ValueError(f"there are no live sessions of kind {kind!r}, only of live and correct")
    return LiveSession(task, library, config)


def make_learner(kind: str, spec: EnvSpec, policy: Policy, *, seed: int = 0) -> LiveLearner | None:
    """Make what learns from live feedback; ValueError lists the kinds.

    "tamer" starts from nothing; "coach" from a copy of the network that `policy` acts by, or a new
    one where it acts by none.
    """
    if kind not in LEARNERS:
        raise ValueError(f"unknown learner {kind!r}; the learners are tamer, coach")
    if kind == "tamer":
        return TamerLearner(spec, seed=seed)
    if kind == "coach":
        net = getattr(policy, "net", None)
        if isinstance(net, ActorCritic):
            return CoachLearner(copy.deepcopy(net))
        return CoachLearner(ActorCritic(spec, ActorCriticConfig()))
    return None


def _live(
    clips: Sequence[str],
    settings: Mapping[str, Any],
    library: ClipLibrary,
    make_policy: MakePolicy,
    seed: int,
    learner: LiveLearner | None,
) -> LiveTask:
    given = dict(settings)
    if clips:
        clip = library.get(clips[0])
        given = {
            "env": clip.env,
            "env_options": clip.env_options,
            "policies": list(clip.policies),
            "seat": clip.seat,
        } | given
    if "env" not in given:
        raise ValueError("a question of kind live needs the setting env")
    env, options = str(given["env"]), as_options(given.get("env_options", {}))
    spec = _spec(env, options)
    names = given.get("policies", "random")
    names = (names,) * spec.num_agents if isinstance(names, str) else tuple(names)
    if len(names) != spec.num_agents:
        raise ValueError(f"{env} has {spec.num_agents} seats, got the policies {names}")
    seat = int(given.get("seat", 0))
    policies = [make_policy(name, spec, options) for name in names]
    if not 0 <= seat < spec.num_agents:
        raise ValueError(f"seat must be in 0..{spec.num_agents - 1}, got {seat}")
    seed = int(given.get("seed", seed))
    kind = str(given.get("learner") or "")
    learner = learner or make_learner(kind, spec, policies[seat], seed=seed)
    if learner is not None:
        names = (*names[:seat], learner.kind, *names[seat + 1 :])
    return LiveTask("live", env, policies, names, seat, options, learner=learner, seed=seed)


def _correction(
    clips: Sequence[str], library: ClipLibrary, make_policy: MakePolicy, seed: int
) -> LiveTask:
    if len(clips) != 1:
        raise ValueError(f"a question of kind correct has one clip, got {len(clips)}")
    clip = library.get(clips[0])
    spec = _spec(clip.env, clip.env_options)
    # Of an earlier correction only the person is missing, and a person acts there anyway.
    policies = [
        RandomPolicy(spec)
        if name == "person" and seat == clip.seat
        else make_policy(name, spec, clip.env_options)
        for seat, name in enumerate(clip.policies)
    ]
    return LiveTask(
        "correct",
        clip.env,
        policies,
        clip.policies,
        clip.seat,
        clip.env_options,
        clip=clip,
        seed=seed,
    )


def _spec(env: str, options: Mapping[str, Any]) -> EnvSpec:
    plugin = env_plugin(env)
    return plugin.make(make_config(plugin.config, options, env), 1).spec
