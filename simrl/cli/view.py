"""`simrl view ENV`: look at a robot task live in MuJoCo's own viewer while a policy drives it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, runtime_checkable

import tyro

from simrl.cli.arguments import parse
from simrl.cli.players import stage_for
from simrl.core.env import VecEnv
from simrl.core.plugins import env_names
from simrl.core.policy import Policy
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.seating import Seating
from simrl.runs.options import parse_options


@dataclass(frozen=True)
class ViewArguments:
    """Look at a robot task live; drag bodies with the mouse.

    Where the task has a commanded velocity, the keyboard changes it: up and down faster and slower
    forward, left and right the turn, comma and full stop to the left and right, slash stops.
    """

    env: Annotated[str, tyro.conf.Positional]
    """Registered name of the environment."""
    policy: str = "random"
    """Who drives: a scripted policy, a controller (options may follow: mppi:samples=64), "random",
    or a run's folder."""
    option: tuple[str, ...] = ()
    """Options of the environment's config, each NAME=VALUE with the value in YAML."""
    seed: int = 0
    """Seed of the episodes and of the policy's draws."""
    speed: float = 1.0
    """Pace: 0.25 is slow motion."""
    deterministic: bool = True
    """Take the policy's likeliest actions instead of samples."""
    seconds: float = 0.0
    """Seconds after which the window closes by itself; 0 waits for the person."""


UP, DOWN, LEFT, RIGHT = 265, 264, 263, 262
KEYS = {
    UP: (0, 0.1),
    DOWN: (0, -0.1),
    ord(","): (1, 0.1),
    ord("."): (1, -0.1),
    LEFT: (2, 0.2),
    RIGHT: (2, -0.2),
}
"""GLFW's code of a key: which number of a commanded velocity it changes, and by how much."""
STOP = ord("/")
VELOCITY = ("vx", "vy", "yaw_rate")
"""How the numbers of a command begin that the keys steer."""


@runtime_checkable
class Viewable(Protocol):
    """An environment that hands out what MuJoCo's viewer shows."""

    def mujoco_state(self, row: int) -> tuple[Any, Any]:
        """Return a copy of one row's `MjModel` and `MjData`."""
        ...


def run(arguments: Sequence[str]) -> int:
    """Open the window and return the exit code."""
    args = parse(ViewArguments, "simrl view", arguments)
    if args.env not in env_names():
        raise ValueError(
            f"unknown environment {args.env!r}; the environments are {', '.join(env_names())}"
        )
    if not args.speed > 0:
        raise ValueError(f"speed must be above 0, got {args.speed}")
    parse_options(args.option)
    require_display(args.env)
    stage = stage_for([args.policy], args.env, args.option)
    env = stage.make(1)
    if not isinstance(env, Viewable):
        raise ValueError(f"{args.env} is no MuJoCo task; see it with simrl play and simrl watch")
    policy = stage.players([args.policy], env.spec)[args.policy]
    view(env, policy, args)
    return 0


def require_display(env: str) -> None:
    """Raise ValueError where no window can be opened."""
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    ):
        raise ValueError(
            "there is no display to open a window on; write a video instead: "
            f"simrl play POLICY --env {env} --mp4 FILE.mp4"
        )


def view(
    env: VecEnv, policy: Policy, args: ViewArguments, launch: Callable[..., Any] | None = None
) -> None:
    """Drive environment 0 and show it in real time until the window is closed.

    launch: opens the window; default: `mujoco.viewer.launch_passive`.
    """
    import mujoco

    if launch is None:
        import mujoco.viewer

        launch = mujoco.viewer.launch_passive
    if not isinstance(env, Viewable):
        raise ValueError(f"{env.spec.id} is no MuJoCo task")
    engine = RolloutEngine(env, Seating.self_play(env, policy, train=False), seed=args.seed)
    engine.reset()
    model, shown = env.mujoco_state(0)
    pace = env.spec.step_seconds / args.speed
    steps = round(args.seconds / env.spec.step_seconds) if args.seconds else 0
    pressed: list[int] = []
    steered = is_steered(env)
    with launch(model, shown, key_callback=pressed.append) as window:
        due, count = time.monotonic(), 0
        while window.is_running() and not (steps and count >= steps):
            while pressed and steered:
                steer(env, pressed.pop(0))
            engine.step(deterministic=args.deterministic)
            data = env.mujoco_state(0)[1]
            with window.lock():
                mujoco.mj_copyData(shown, model, data)
            window.sync()
            due, count = due + pace, count + 1
            late = time.monotonic() - due
            if late < 0.0:
                time.sleep(-late)
            elif late > 0.5:  # too slow for real time: do not try to catch up
                due += late


def is_steered(env: VecEnv) -> bool:
    """Tell whether the task's command is a velocity over the ground."""
    names = env.spec.physics.get("command", ())
    return len(names) == 3 and all(map(str.startswith, names, VELOCITY))


def steer(env: VecEnv, key: int) -> None:
    """Change the velocity that environment 0 is commanded; other keys do nothing."""
    if key != STOP and key not in KEYS:
        return
    state = env.snapshot()
    command = state[:, env.spec.physics["state"]["command"]]
    if key == STOP:
        command[:] = 0.0
    else:
        index, change = KEYS[key]
        command[:, index] += change
    env.restore(state)
