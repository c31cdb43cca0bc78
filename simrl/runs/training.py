"""Assemble a training run from its config: environment, network, league, engine, learner, loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from simrl.core.env import VecEnv
from simrl.core.plugins import env_plugin, make_config, make_env, make_scripted
from simrl.core.policy import Policy
from simrl.core.seeding import child_seed
from simrl.learn.checkpoint import Checkpoints
from simrl.learn.commanding import CommandedEnv
from simrl.learn.loop import Progress, Relabel, Stateful, TrainingLoop
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOLearner
from simrl.nn.actor_critic import ActorCritic
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.npz import write_npz
from simrl.rollout.observer import Observer
from simrl.rollout.observers import EpisodeStats, NanGuard
from simrl.rollout.seating import Seating
from simrl.runs.config import CONFIG_FILE, TrainConfig, run_config, save_config
from simrl.runs.curriculum import Curriculum
from simrl.runs.evaluation import EvaluationHook
from simrl.runs.folder import open_writer, refuse_used, restore_newest
from simrl.runs.machine import save_machine
from simrl.runs.policies import acting_policy, learned_spec, named_policy
from simrl.runs.weights import start_from
from simrl.selfplay.league import LEARNER, League, LeagueConfig

EPISODE_WINDOW = 200
"""Episodes over which the logged returns and lengths are averaged."""


@dataclass
class Run:
    """Hold the parts of a training run; `run.loop.run()` trains."""

    config: TrainConfig
    """What was asked for."""
    env: VecEnv
    """The environments that it trains in."""
    policy: Policy
    """The learner's policy."""
    loop: TrainingLoop
    """The training loop."""
    evaluation: EvaluationHook
    """What measures the run."""
    league: League | None
    """Opponents, for games."""
    folder: Path | None
    """Where everything is written; None keeps it in memory."""

    @property
    def net(self) -> ActorCritic:
        """The network that learns."""
        return self.loop.learner.net


@dataclass
class Additions:
    """Hold what a run has beside the parts of plain training."""

    env: VecEnv | None = None
    """The environments, if the config's are not to be used as they are."""
    observers: Sequence[Observer] = ()
    """More observers of the engine."""
    parts: Mapping[str, Stateful] = field(default_factory=dict)
    """More parts of the checkpoint."""
    relabel: Relabel | None = None
    """What changes the rewards of a batch."""
    reference: ActorCritic | None = None
    """Policy that the learner stays near to; it is frozen."""


def build_run(
    config: TrainConfig, folder: Path | str | None = None, additions: Additions | None = None
) -> Run:
    """Build everything that a config asks for, without training yet.

    With a `folder`, the config, metrics, evaluations and checkpoints are written there.  ValueError
    names any unknown environment, option, opponent or field.
    """
    more = additions or Additions()
    folder = None if folder is None else Path(folder)
    if torch.device(config.device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"the device is {config.device}, but torch finds no CUDA device here")
    if more.env is not None and (config.base_command or config.curriculum is not None):
        raise ValueError("a run whose reward is learned has no curriculum and commands no base")
    curriculum = _make_curriculum(config) if config.curriculum else None
    env = more.env or (curriculum.env() if curriculum else training_env(config))
    for name in config.evaluation.opponents:
        named_policy(name, env.spec, config.env_options)  # a name that is wrong is told now
    net = make_net(config, env)
    # A commanded base is part of the environment while it trains, and of the policy where it plays.
    inside = isinstance(env, CommandedEnv)
    spec = env.inner.spec if isinstance(env, CommandedEnv) else env.spec
    learner = NetworkPolicy(net)
    policy = learner if inside else acting_policy(config, spec, learner, config.env_options)
    league = _make_league(config, config.league, env, policy) if config.league else None
    stats = EpisodeStats(EPISODE_WINDOW)
    engine = RolloutEngine(
        env,
        league.seating if league else Seating.self_play(env, policy, name=LEARNER),
        seed=child_seed(config.seed, "engine"),
        matchmaker=league,
        observers=[
            stats,
            NanGuard(folder),
            *([league] if league else []),
            *([curriculum] if curriculum else []),
            *more.observers,
        ],
        device=config.device,
    )
    if curriculum:
        curriculum.engine = engine
    alone = NetworkPolicy(net, values=False)
    player = acting_policy(config, spec, alone, config.env_options)
    evaluation = EvaluationHook(config, player, folder)
    loop = TrainingLoop(
        engine,
        PPOLearner(
            net,
            config.ppo,
            seed=child_seed(config.seed, "learner"),
            reference=more.reference,
            on_bad_batch=save_bad_batch(folder) if folder else None,
        ),
        config.loop,
        parts={
            "evaluation": evaluation,
            "stats": stats,
            **({"league": league} if league else {}),
            **({"curriculum": curriculum} if curriculum else {}),
            **more.parts,
        },
        hooks=[
            StatsHook(stats),
            *([LeagueHook(league, net)] if league else []),
            *([curriculum] if curriculum else []),
            evaluation,
        ],
        checkpoints=Checkpoints(folder / "checkpoints", config.loop.keep_checkpoints)
        if folder
        else None,
        relabel=more.relabel,
    )
    evaluation.on_best = loop.save_best
    return Run(config, env, policy, loop, evaluation, league, folder)


Builder = Callable[[TrainConfig, Path], Run]
"""Builds a run in a folder; `build_run` for plain training."""


def start_run(config: TrainConfig, folder: Path | str, build: Builder = build_run) -> Run:
    """Build a run in a new folder; ValueError if the folder holds a run already."""
    folder = Path(folder)
    refuse_used(folder)
    run = build(config, folder)
    save_config(config, folder / CONFIG_FILE)
    save_machine(folder)
    open_writer(run.loop, folder, use_wandb=run.config.wandb)
    if run.league is not None:
        run.league.update(0, run.loop.learner.net.state_dict())
    return run


def resume_run(
    folder: Path | str, config: TrainConfig | None = None, build: Builder = build_run
) -> Run:
    """Continue a run from its newest whole checkpoint, bit for bit.

    `config` replaces the saved one, to train longer.  ValueError if the folder is no run or holds
    no whole checkpoint.
    """
    folder = Path(folder)
    # The weights come from the checkpoint; the run that they began with may be gone.
    run = build(replace(config or run_config(folder), init=""), folder)
    restore_newest(run.loop, folder)
    if config is not None:
        save_config(config, folder / CONFIG_FILE)
    open_writer(run.loop, folder, use_wandb=run.config.wandb)
    return run


def training_env(config: TrainConfig) -> VecEnv:
    """Build the environments that a run trains in, with the base in them that it commands."""
    env = make_env(config.env, config.num_envs, **config.env_options)
    if not config.base_command:
        return env
    base = named_policy(config.base, env.spec, config.env_options)
    return CommandedEnv(env, base, config.base_command, config.base_every)


def _make_curriculum(config: TrainConfig) -> Curriculum:
    """Build the curriculum of a config; ValueError for an option that is unknown, of any stage."""
    wanted = config.curriculum
    assert wanted is not None

    def make(options: Mapping[str, Any]) -> VecEnv:
        return training_env(replace(config, env_options={**config.env_options, **options}))

    plugin = env_plugin(config.env)
    for number, options in enumerate(wanted.stages):
        owner = f"{config.env}, stage {number} of the curriculum"
        make_config(plugin.config, {**config.env_options, **options}, owner)
    return Curriculum(wanted, make)


def make_net(config: TrainConfig, env: VecEnv) -> ActorCritic:
    """Build the network with weights drawn from the run's own stream."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(config.seed, "weights") % 2**63)
        spec = env.spec if isinstance(env, CommandedEnv) else learned_spec(config, env.spec)
        net = ActorCritic(spec, config.net).to(config.device)
    if config.init:
        start_from(net, config.init)
    return net


class StatsHook:
    """Log the episode statistics of the rollout; a hook of the training loop."""

    def __init__(self, stats: EpisodeStats) -> None:
        self.stats = stats

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Return the rolling means."""
        return self.stats.summary()


class LeagueHook:
    """Freeze snapshots when they are due and log the league; a hook of the training loop."""

    def __init__(self, league: League, net: nn.Module) -> None:
        self.league = league
        self.net = net

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Return the learner's win rates and rating."""
        self.league.update(progress.steps, self.net.state_dict())
        return self.league.metrics()


def _make_league(config: TrainConfig, league: LeagueConfig, env: VecEnv, policy: Policy) -> League:

    def make_frozen() -> tuple[nn.Module, Policy]:
        net = make_net(config, env).eval().requires_grad_(False)
        return net, NetworkPolicy(net, values=False)

    names = league.scripted
    available = env_plugin(config.env).policies
    unknown = [name for name in names if name not in available]
    if unknown:
        raise ValueError(
            f"{config.env} has no scripted policy {unknown[0]!r}; "
            f"its policies are {', '.join(available) or 'none'}"
        )
    scripted = {name: make_scripted(config.env, name, **config.env_options) for name in names}
    return League(
        env.spec, config.num_envs, policy, make_frozen, scripted, league, seed=config.seed
    )


def save_bad_batch(folder: Path) -> Callable[[Mapping[str, Tensor]], None]:
    """Make a function that keeps the minibatch whose loss is not finite, in a run's folder."""

    def save(batch: Mapping[str, Tensor]) -> None:
        arrays = {name: value.detach().cpu().numpy() for name, value in batch.items()}
        write_npz(folder / "nonfinite-batch.npz", arrays)

    return save
