"""Assemble a run of expert iteration: environment, networks, searches, replay, gate, loop.

Its folder holds a `config.yaml` as that of any run, so every command that plays, watches or reports
on runs takes it; `expert.yaml` beside it says how it learns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
import yaml

from simrl.core.env import VecEnv
from simrl.core.files import write_atomic
from simrl.core.plugins import make_env
from simrl.core.seeding import child_seed
from simrl.learn.checkpoint import Checkpoints
from simrl.learn.expert_iteration import (
    EvaluationGate,
    ExpertIteration,
    ExpertIterationConfig,
)
from simrl.learn.exploration import ExplorationConfig, ExploringPolicy
from simrl.learn.loop import LoopConfig
from simrl.learn.ppo import PPOConfig
from simrl.learn.replay import SearchReplay
from simrl.learn.search_learner import SearchLearner, SearchLearnerConfig
from simrl.learn.self_play import SelfPlayRecorder
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.observers import EpisodeStats, NanGuard
from simrl.rollout.seating import Seating
from simrl.runs.config import (
    CONFIG_FILE,
    EvalConfig,
    TrainConfig,
    from_dict,
    save_config,
    to_dict,
)
from simrl.runs.evaluation import EvaluationHook
from simrl.runs.expert_search import Game, Snapshots
from simrl.runs.folder import open_writer, refuse_used, restore_newest
from simrl.runs.machine import save_machine
from simrl.runs.policies import named_policy
from simrl.runs.symmetry import mirror_symmetry
from simrl.runs.training import EPISODE_WINDOW, StatsHook, make_net, save_bad_batch
from simrl.search.config import SearchConfig

EXPERT_FILE = "expert.yaml"
"""Name of the file beside a run's config that says how it learns from searches."""


@dataclass(frozen=True)
class ExpertConfig:
    """Define a run of expert iteration in a turn-based game."""

    env: str
    """Registered name of the environment."""
    env_options: Annotated[dict[str, Any], tyro.conf.Suppress] = field(default_factory=dict)
    """Fields of the environment's config that differ from their defaults."""
    num_envs: int = 256
    """Games played side by side."""
    seed: int = 0
    """Seed from which every random stream is derived."""
    net: ActorCriticConfig = field(default_factory=ActorCriticConfig)
    """The network, without memory."""
    search: SearchConfig = field(default_factory=lambda: SearchConfig(simulations=32))
    """The search of self-play, of the gate and of reanalysis."""
    play: SearchConfig = field(default_factory=lambda: SearchConfig(simulations=128))
    """The search of evaluations and ratings; it goes without noise."""
    gamma: float = 1.0
    """Discount of a reward one move later; below 1, quick wins are worth more."""
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    """How the games of self-play are varied."""
    mirror: bool = False
    """Whether each position is learned from as its mirror image as well; for boards whose rules
    know no left and right."""
    capacity: int = 200_000
    """Newest positions that are kept to learn from."""
    learner: SearchLearnerConfig = field(default_factory=SearchLearnerConfig)
    """The learner."""
    iteration: ExpertIterationConfig = field(default_factory=ExpertIterationConfig)
    """How self-play, reanalysis, learning and gate take turns."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(minutes=10.0))
    """Length of the run, moves of each game in a turn, and how often it is saved."""
    snapshot_steps: int = 250_000
    """Searched positions between two frozen copies of the network, which are rated later."""
    evaluation: EvalConfig = field(default_factory=EvalConfig)
    """How the run is measured."""
    wandb: bool = False
    """Whether to log to Weights & Biases as well (extra `wandb`)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("num_envs", "capacity", "snapshot_steps"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma must be above 0 and at most 1, got {self.gamma}")

    def train_config(self) -> TrainConfig:
        """Return what a run's `config.yaml` says: what all commands need to know.

        Of the learner's part only the discount counts: this run learns otherwise.
        """
        return TrainConfig(
            env=self.env,
            env_options=self.env_options,
            num_envs=self.num_envs,
            seed=self.seed,
            net=self.net,
            ppo=PPOConfig(gamma=self.gamma),
            loop=self.loop,
            evaluation=self.evaluation,
            wandb=self.wandb,
        )


@dataclass
class ExpertRun:
    """Hold the parts of a run of expert iteration; `run.loop.run()` trains."""

    config: TrainConfig
    """What any command needs to know."""
    expert: ExpertConfig
    """What was asked for."""
    env: VecEnv
    """The environments that it plays in."""
    loop: ExpertIteration
    """The loop."""
    evaluation: EvaluationHook
    """What measures the run."""
    folder: Path | None
    """Where everything is written; None keeps it in memory."""


def build_expert(config: ExpertConfig, folder: Path | str | None = None) -> ExpertRun:
    """Build everything that a config asks for, without training yet.

    ValueError names an unknown environment, option, opponent or field, or says that the game is not
    one of turns.
    """
    folder = None if folder is None else Path(folder)
    train = config.train_config()
    env = make_env(config.env, config.num_envs, **config.env_options)
    for name in config.evaluation.opponents:
        named_policy(name, env.spec, config.env_options)  # a name that is wrong is told now
    net, player = make_net(train, env), make_net(train, env)
    game = Game.of(config.env, config.env_options, env.spec, config.gamma)
    replay = SearchReplay(config.capacity)
    recorder = SelfPlayRecorder(
        env.spec, config.num_envs, net.reads, replay.add, gamma=config.gamma
    )
    stats = EpisodeStats(EPISODE_WINDOW)
    selfplay = ExploringPolicy(game.policy(player, config.search), config.exploration)
    engine = RolloutEngine(
        env,
        Seating.self_play(env, selfplay, name="player", train=False),
        seed=child_seed(config.seed, "engine"),
        observers=[recorder, stats, NanGuard(folder)],
        threads=1,
    )
    evaluation = EvaluationHook(train, game.measured(net, config.play), folder)
    snapshots = Snapshots(net, config.snapshot_steps)
    loop = ExpertIteration(
        engine,
        recorder,
        replay,
        SearchLearner(
            net,
            config.learner,
            seed=child_seed(config.seed, "learner"),
            symmetries=[mirror_symmetry(env.spec)] if config.mirror else [],
            on_bad_batch=None if folder is None else save_bad_batch(folder),
        ),
        player,
        config.iteration,
        config.loop,
        seed=child_seed(config.seed, "iteration"),
        reanalyse=game.reanalyse(player, config.search),
        gate=None if config.iteration.gate is None else _gate(config, game, net, player),
        parts={"evaluation": evaluation, "stats": stats, "snapshots": snapshots},
        hooks=[StatsHook(stats), snapshots, evaluation],
        checkpoints=Checkpoints(folder / "checkpoints", config.loop.keep_checkpoints)
        if folder
        else None,
    )
    evaluation.on_best = loop.save_best
    return ExpertRun(train, config, env, loop, evaluation, folder)


def start_expert(config: ExpertConfig, folder: Path | str) -> ExpertRun:
    """Build a run in a new folder; ValueError if the folder holds a run already."""
    folder = Path(folder)
    refuse_used(folder)
    run = build_expert(config, folder)
    _save_configs(config, folder)
    save_machine(folder)
    open_writer(run.loop, folder, use_wandb=run.config.wandb)
    return run


def resume_expert(folder: Path | str, config: ExpertConfig | None = None) -> ExpertRun:
    """Continue a run from its newest whole checkpoint, bit for bit.

    `config` replaces the saved one, to train longer.  ValueError if the folder is no such run or
    holds no whole checkpoint.
    """
    folder = Path(folder)
    run = build_expert(config or expert_config(folder), folder)
    restore_newest(run.loop, folder)
    if config is not None:
        _save_configs(config, folder)
    open_writer(run.loop, folder, use_wandb=run.config.wandb)
    return run


def is_expert_run(folder: Path | str) -> bool:
    """Tell whether `folder` is that of a run of expert iteration."""
    return (Path(folder) / EXPERT_FILE).is_file()


def expert_config(folder: Path | str) -> ExpertConfig:
    """Read the config of a run of expert iteration; ValueError if the folder is none."""
    path = Path(folder) / EXPERT_FILE
    if not is_expert_run(folder):
        raise ValueError(f"{folder} is not a run of expert iteration: it has no {EXPERT_FILE}")
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return from_dict(ExpertConfig, data, str(path))


def _gate(
    config: ExpertConfig, game: Game, net: ActorCritic, player: ActorCritic
) -> EvaluationGate:
    return EvaluationGate(
        make_env(config.env, config.iteration.gate_games, **config.env_options),
        game.policy(net, config.search),
        game.policy(player, config.search),
        games=config.iteration.gate_games,
        seed=child_seed(config.seed, "gate"),
    )


def _save_configs(config: ExpertConfig, folder: Path) -> None:
    write_atomic(folder / EXPERT_FILE, yaml.safe_dump(to_dict(config), sort_keys=False))
    save_config(config.train_config(), folder / CONFIG_FILE)
