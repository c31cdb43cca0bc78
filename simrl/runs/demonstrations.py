"""Turn clips that people played into demonstrations to clone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from simrl.core.env import VecEnv
from simrl.core.plugins import make_env
from simrl.learn.demonstrations import Demonstrations
from simrl.preferences.clips import Clip, ClipLibrary
from simrl.preferences.clips.clip import config_hash_of

PERSON = "person"
"""Who sat at the seat of a clip that a person played."""


def person_clips(folder: Path | str) -> list[Clip]:
    """Read the clips of a library in which a person held the judged seat, oldest first."""
    library = ClipLibrary(folder)
    facts = ((name, library.meta(name)) for name in library.ids())
    return [library.get(name) for name, f in facts if f["policies"][f["seat"]] == PERSON]


def clip_demonstrations(clips: Sequence[Clip], reads: Iterable[str]) -> Demonstrations:
    """Play clips again, and return what their seats saw, in the groups `reads`, and did.

    A clip keeps one group of observations only; the others, masks among them, come of the
    simulation.  The lead counts nothing, but a network with memory is shown it.  ValueError if
    there are no clips, or they are of different environments or options.
    """
    if not clips:
        raise ValueError("there are no clips that a person played")
    kinds = {config_hash_of(clip.env, clip.env_options) for clip in clips}
    if len(kinds) > 1:
        raise ValueError("the clips are of environments with different options")
    env = make_env(clips[0].env, 1, **clips[0].env_options)
    groups = sorted(set(reads))
    env.request(groups)
    env.reset(0)
    return Demonstrations.cat([_played(env, clip, groups) for clip in clips])


def _played(env: VecEnv, clip: Clip, groups: Sequence[str]) -> Demonstrations:
    obs = env.restore(torch.from_numpy(clip.snapshot)[None])
    actions = torch.from_numpy(np.concatenate([clip.lead, clip.action]))
    seen: dict[str, list[Tensor]] = {name: [] for name in groups}
    starts, fresh = [], True
    for action in actions:
        for name, values in seen.items():
            shown = obs[name] if name == "state" else obs[name][:, clip.seat]
            values.append(shown.clone())
        starts.append(fresh)
        step = env.step(action[None])
        obs, fresh = step.obs, bool(step.done[0])
    weight = torch.ones(len(actions), 1)
    weight[: len(clip.lead)] = 0.0
    return Demonstrations(
        obs={name: torch.stack(values) for name, values in seen.items()},
        action=actions[:, clip.seat, None].clone(),
        episode_start=torch.tensor(starts)[:, None],
        weight=weight,
    )
