"""RLHF in three steps: a policy from demonstrations or self-play, a reward model, PPO near it.

1. **A policy to start from**: an earlier run's (`init`), or the clone of a demonstrator.  A frozen
   copy of it is the reference.
2. **A reward model** from comparisons of that policy's own play.  From then on it is frozen.
3. **PPO** on its reward minus beta times the exact KL to the reference (`simrl.learn.reference`).
   The critic starts from the reward model: with its hidden layers where the shapes allow, and in
   any case by regression on the returns of the learned reward before the policy moves.

The environment's own reward is watched all along and never learned from: `GoldRecord` logs proxy
and gold against the distance, and `simrl.runs.rlhf_report` fits where more proxy is too much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro
import yaml

from simrl.core.env import VecEnv
from simrl.core.files import write_atomic
from simrl.core.plugins import make_env
from simrl.core.seeding import child_seed
from simrl.learn.cloning import CloningConfig
from simrl.learn.demonstrations import Demonstrations, collect_demonstrations
from simrl.learn.loop import Progress, TrainingLoop
from simrl.learn.ppo import PPOConfig
from simrl.nn.actor_critic import ActorCritic
from simrl.preferences.clips import ClipLibrary
from simrl.preferences.dataset import PreferenceData
from simrl.preferences.relabel import RelabelByReward, relabelled_env
from simrl.preferences.reward_model import RewardEnsemble
from simrl.preferences.reward_training import RewardTrainer
from simrl.preferences.teachers import ScriptedTeacher, teacher_config
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.seating import Seating
from simrl.runs.config import (
    PREFERENCES_FILE,
    TrainConfig,
    from_dict,
    run_config,
    to_dict,
)
from simrl.runs.demonstrations import clip_demonstrations, person_clips
from simrl.runs.policies import named_policy
from simrl.runs.preference_presets import cart_pole as plain_cart_pole
from simrl.runs.preference_presets import pendulum as plain_pendulum
from simrl.runs.preferences import HUMAN, PreferenceConfig
from simrl.runs.rlhf_steps import (
    GOLD_START,
    GoldRecord,
    ask_pairs,
    clone_policy,
    critic_from_reward,
    fit_critic,
    mean_return,
    playing,
    record_segments,
)
from simrl.runs.training import Additions, Run, build_run, make_net, resume_run, start_run

RLHF_FILE = "rlhf.yaml"
"""Name of the config that an RLHF run has beside the others."""

Say = Callable[[str], None]
"""Tells in a line what is going on."""


@dataclass(frozen=True)
class RLHFConfig:
    """Define a run of RLHF's three steps."""

    prefs: Annotated[PreferenceConfig, tyro.conf.arg(name="")]
    """Environment, network, learner, teacher and reward model; `init` names the run to start from.
    Of `queries` count labels, segment, recording and held_out: all is asked at once."""
    demonstrator: str = ""
    """Policy to clone if there is no run to start from: scripted, a controller or a run."""
    clips: str = ""
    """Folder of a clip library: what people played in it (corrections, demonstrations) is cloned,
    beside a demonstrator's play or on top of a run's policy."""
    demonstration_steps: int = 256
    """Steps of every environment that the demonstrator plays."""
    cloning: CloningConfig = field(default_factory=CloningConfig)
    """How it is cloned."""
    data: str = ""
    """Answers to learn from instead of asking a teacher: the folder of a run or of clips whose
    labels.db holds people's comparisons, or a file that `PreferenceData.save` wrote."""
    critic_updates: int = 10
    """Batches from which the critic alone learns before the policy moves."""
    max_kl: float | None = None
    """KL of an episode to the reference at which training stops [nat]; None: never."""

    def __post_init__(self) -> None:
        """Check that there is one thing to start from, and who answers."""
        if self.demonstrator and self.prefs.train.init:
            raise ValueError("give either a demonstrator to clone, or a run to start from (init)")
        if not (self.demonstrator or self.prefs.train.init or self.clips):
            raise ValueError("give a demonstrator to clone, a run to start from (init), or clips")
        if self.prefs.teacher == HUMAN and not self.data:
            raise ValueError("the answers of people come from a folder with labels: give data")
        if self.demonstration_steps < 1:
            raise ValueError("demonstration_steps must be at least 1")
        if self.critic_updates < 0:
            raise ValueError("critic_updates must not be negative")


@dataclass
class RLHFRun:
    """Hold an RLHF run; `run.loop.run()` runs its third step."""

    run: Run
    """The training run."""
    ensemble: RewardEnsemble
    """The frozen reward model."""
    reference: ActorCritic
    """The frozen policy."""
    config: RLHFConfig
    """What was asked for."""
    figures: dict[str, float] = field(default_factory=dict)
    """How the first two steps and the critic did."""


class KLLimit:
    """End a run once an episode's KL to the reference is above a limit; a hook."""

    def __init__(self, loop: TrainingLoop, limit: float) -> None:
        self.loop, self.limit = loop, limit

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Look at the figure that `GoldRecord` gave for this update."""
        if metrics.get("rlhf/kl", 0.0) > self.limit:
            self.loop.ended = True
        return {}


def start_rlhf(config: RLHFConfig, folder: Path | str, say: Say = lambda line: None) -> RLHFRun:
    """Do the first two steps, start the critic, and build the third in a new folder.

    What was learned so far is saved as the first checkpoint.  ValueError if the folder holds a run
    already.
    """
    built: list[RLHFRun] = []

    def build(train: TrainConfig, folder: Path) -> Run:
        built.append(build_rlhf(config, folder, say))
        own = {name: value for name, value in to_dict(config).items() if name != "prefs"}
        prefs = {name: v for name, v in to_dict(config.prefs).items() if name != "train"}
        write_atomic(folder / RLHF_FILE, yaml.safe_dump(own, sort_keys=False))
        write_atomic(folder / PREFERENCES_FILE, yaml.safe_dump(prefs, sort_keys=False))
        return built[0].run

    start_run(config.prefs.train, folder, build)
    result = built[0]
    if result.run.loop.writer is not None:
        result.run.loop.writer.write(0, result.figures)
    result.run.loop.save()
    return result


def resume_rlhf(folder: Path | str, train: TrainConfig | None = None) -> RLHFRun:
    """Continue the third step from the newest whole checkpoint, bit for bit.

    `train` replaces the saved training config, to train longer.
    """
    config = rlhf_config(folder)
    built: list[RLHFRun] = []

    def build(train: TrainConfig, folder: Path) -> Run:
        asked = replace(train, init=config.prefs.train.init)
        longer = replace(config, prefs=replace(config.prefs, train=asked))
        built.append(_assemble(longer, folder, train))
        return built[0].run

    resume_run(folder, train, build)
    return built[0]


def build_rlhf(
    config: RLHFConfig, folder: Path | str | None = None, say: Say = lambda line: None
) -> RLHFRun:
    """Do the first two steps and start the critic; with a `folder`, PPO will be saved there."""
    result = _assemble(config, folder)
    prefs, train = config.prefs, config.prefs.train
    net, learner = result.run.net, result.run.loop.learner
    env = make_env(train.env, train.num_envs, **train.env_options)
    sources = (train.init, config.demonstrator, config.clips and "people's clips")
    say(f"1 of 3: a policy from {' and '.join(filter(None, sources))}")
    result.figures |= _start_policy(config, net, relabelled_env(env, prefs.relabel))
    result.reference.load_state_dict(net.state_dict())
    told = config.data or f"{prefs.queries.labels} comparisons"
    say(f"2 of 3: a reward model from {told}")
    result.figures |= _fit_reward(config, result.ensemble, net, env)
    result.figures[GOLD_START] = mean_return(env, net, seed=child_seed(train.seed, "gold"))
    say("3 of 3: the critic, then PPO")
    result.figures["critic/copied"] = float(critic_from_reward(net, result.ensemble))
    if config.critic_updates:
        # On an engine of its own: PPO's starts where every run's starts.
        own = make_env(train.env, train.num_envs, **train.env_options)
        own = relabelled_env(own, prefs.relabel)
        result.figures |= fit_critic(
            learner,
            RolloutEngine(
                own,
                Seating.self_play(own, result.run.policy),
                seed=child_seed(train.seed, "critic"),
                device=train.device,
            ),
            _relabel(config, result.ensemble, own),
            unroll=train.loop.unroll,
            updates=config.critic_updates,
            learning_rate=train.ppo.learning_rate,
        )
    return result


def is_rlhf(folder: Path | str) -> bool:
    """Tell whether `folder` is that of an RLHF run."""
    return (Path(folder) / RLHF_FILE).is_file()


def rlhf_config(folder: Path | str) -> RLHFConfig:
    """Read the config of an RLHF run; ValueError if the folder is none."""
    path = Path(folder)
    train = run_config(path)
    if not is_rlhf(path):
        raise ValueError(f"{folder} is not an RLHF run: it has no {RLHF_FILE}")
    try:
        own = yaml.safe_load((path / RLHF_FILE).read_text())
        prefs = yaml.safe_load((path / PREFERENCES_FILE).read_text())
        data = {**own, "prefs": {**prefs, "train": to_dict(train)}}
    except (OSError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return from_dict(RLHFConfig, data, str(path / RLHF_FILE))


def _assemble(
    config: RLHFConfig, folder: Path | str | None, train: TrainConfig | None = None
) -> RLHFRun:
    """Build run, reference and reward model, with the weights that `train` begins with.

    train: In place of the config's own.
    """
    prefs, train = config.prefs, train or config.prefs.train
    plain = make_env(train.env, train.num_envs, **train.env_options)
    env = relabelled_env(plain, prefs.relabel)
    ensemble = RewardEnsemble(plain.spec, prefs.model, seed=child_seed(train.seed, "reward"))
    ensemble.to(train.device)
    record = GoldRecord(_relabel(config, ensemble, env))
    reference = make_net(train, env)
    additions = Additions(
        env, parts={"gold": record, "reward": ensemble}, relabel=record, reference=reference
    )
    run = build_run(train, folder, additions)
    run.loop.hooks.append(record)
    if config.max_kl is not None:
        run.loop.hooks.append(KLLimit(run.loop, config.max_kl))
    # The network moves by learning alone, or its distance to the reference would mean nothing.
    _freeze(run.net, True)
    return RLHFRun(run, ensemble, reference, config)


def _relabel(config: RLHFConfig, ensemble: RewardEnsemble, env: VecEnv) -> RelabelByReward:
    prefs = config.prefs
    return RelabelByReward(ensemble, env.spec, prefs.relabel, gamma=prefs.train.ppo.gamma)


def _start_policy(config: RLHFConfig, net: ActorCritic, env: VecEnv) -> dict[str, float]:
    """Do the first step: a run's policy, or the clone of demonstrations, or both in this order."""
    train = config.prefs.train
    parts = []
    if config.demonstrator:
        plain = make_env(train.env, 1, **train.env_options).spec
        expert = named_policy(config.demonstrator, plain, train.env_options)
        steps, seed = config.demonstration_steps, child_seed(train.seed, "expert")
        parts.append(collect_demonstrations(env, expert, net, steps=steps, seed=seed))
    if config.clips:
        clips = [clip for clip in person_clips(config.clips) if clip.env == train.env]
        parts.append(clip_demonstrations(clips, net.reads))
    if not parts:
        return {}
    _freeze(net, bool(config.prefs.train.init))
    data = Demonstrations.cat(parts)
    figures = clone_policy(net, data, config.cloning, seed=child_seed(train.seed, "cloning"))
    _freeze(net, True)
    return figures


def _freeze(net: ActorCritic, frozen: bool) -> None:
    """Fix the statistics by which observations are scaled, or let them follow."""
    for owner in (net, net.critic):
        if owner is not None and owner.normaliser is not None:
            owner.normaliser.frozen = frozen


def _fit_reward(
    config: RLHFConfig, ensemble: RewardEnsemble, net: ActorCritic, env: VecEnv
) -> dict[str, float]:
    """Do the second step: compare the policy's play, and learn from it."""
    prefs, seed = config.prefs, config.prefs.train.seed
    queries = prefs.queries
    if config.data:
        data, held = answers_in(Path(config.data), env.spec.id).split(queries.held_out, seed)
    else:
        segments = record_segments(
            env,
            playing(net),
            length=queries.segment,
            count=max(2 * queries.labels, 2),
            recording=queries.recording,
            seed=child_seed(seed, "segments"),
        )
        constants = replace(teacher_config(prefs.teacher), terms=prefs.terms)
        teacher = ScriptedTeacher(constants, env.spec, seed=seed)
        data, held = ask_pairs(
            segments,
            teacher,
            queries.labels,
            held_out=queries.held_out,
            seed=child_seed(seed, "questions"),
        )
    trainer = RewardTrainer(ensemble, prefs.fit, seed=child_seed(seed, "reward fit"))
    figures = trainer.fit(data, held)
    ensemble.eval().requires_grad_(False)
    return figures


def answers_in(path: Path, env: str) -> PreferenceData:
    """Read comparisons from a folder with its store and clips, or from a file of preferences.

    ValueError if there are none of clips of `env`, or the file is damaged.
    """
    if not path.is_dir():
        if not path.is_file():
            raise ValueError(f"there are no preferences to learn from in {path}")
        return PreferenceData.load(path)
    from simrl.preferences.people import answered_pairs  # needs packages that files do without
    from simrl.preferences.store import LabelStore
    from simrl.runs.people import LABELS_FILE

    if not (path / LABELS_FILE).is_file():
        raise ValueError(f"{path} holds no answers: it has no {LABELS_FILE}")
    store = LabelStore.open(path / LABELS_FILE)
    try:
        return answered_pairs(store, ClipLibrary(path), env)
    finally:
        store.close()


def deepspeed_ppo(base: PPOConfig) -> PPOConfig:
    """Return `base` with the constants of DeepSpeed-Chat's recipe.

    Yao et al. 2023, "DeepSpeed-Chat": KL coefficient 0.1, rewards clipped to ±5, lambda 0.95, both
    clips 0.2, one pass over each batch.  Its gamma of 1 suits one reward at the end of a text; with
    a reward at every step keep the task's own.
    """
    return replace(
        base,
        reference_coef=0.1,
        reward_clip=5.0,
        gae_lambda=0.95,
        clip=0.2,
        value_clip=0.2,
        epochs=1,
    )


def cart_pole() -> RLHFConfig:
    """Balance a pole: a hasty clone of the balancing rule, 200 comparisons, PPO near the clone."""
    base = plain_cart_pole()
    ppo = replace(base.train.ppo, reference_coef=0.02, learning_rate=5e-4)
    prefs = replace(
        base,
        train=replace(base.train, ppo=ppo),
        queries=replace(base.queries, held_out=0.1),
        # As the critic, so that this can start with the reward model's layers.
        model=replace(base.model, activation="tanh"),
    )
    return RLHFConfig(
        prefs=prefs,
        demonstrator="balance",
        demonstration_steps=64,
        cloning=CloningConfig(epochs=2),
    )


def pendulum() -> RLHFConfig:
    """Swing up a pendulum: a hasty clone of the swing rule, 200 comparisons, PPO near the clone."""
    base = plain_pendulum()
    ppo = replace(base.train.ppo, reference_coef=0.02)
    queries = replace(base.queries, labels=200, held_out=0.1)
    return RLHFConfig(
        prefs=replace(
            base,
            train=replace(base.train, ppo=ppo),
            queries=queries,
            model=replace(base.model, activation="tanh"),
        ),
        demonstrator="swing",
        cloning=CloningConfig(epochs=2, min_log_std=-1.0),
    )


PRESETS: dict[str, Callable[[], RLHFConfig]] = {"cart-pole": cart_pole, "pendulum": pendulum}
"""Every preset by the name that `simrl prefs rlhf` takes."""


def preset(name: str) -> RLHFConfig:
    """Return the config of a preset; ValueError lists the valid names."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]()
