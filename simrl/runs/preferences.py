"""Training runs whose reward is learned from preferences: config, presets, building, resuming.

A run's folder is that of any training run (`simrl evaluate`, `watch` and `report` take it), and
`preferences.yaml` beside `config.yaml` says how the reward is learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
import yaml

from simrl.core.files import write_atomic
from simrl.core.plugins import make_env
from simrl.core.seeding import child_seed
from simrl.core.spec import EnvSpec
from simrl.learn.loop import Progress
from simrl.preferences.collect_loop import PreferenceLoop, QueryConfig
from simrl.preferences.questions import AnswerSource, ScriptedAnswers
from simrl.preferences.relabel import PREFERENCE, RelabelByReward, RelabelConfig, relabelled_env
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig
from simrl.preferences.reward_training import RewardTrainer, RewardTrainerConfig
from simrl.preferences.teachers import TEACHERS, ScriptedTeacher, teacher_config
from simrl.runs.config import (
    PREFERENCES_FILE,
    TrainConfig,
    from_dict,
    run_config,
    to_dict,
)
from simrl.runs.training import Additions, Run, build_run, resume_run, start_run

if TYPE_CHECKING:
    from simrl.runs.people import People

HUMAN = "human"
"""Name of the teacher that stands for people at the labelling page."""
REWARD_MODEL_FOLDER = "reward_model"
"""Folder within a run's that the learned reward is saved in at the end."""


@dataclass(frozen=True)
class PreferenceConfig:
    """Define a training run on a reward that is learned from preferences."""

    train: Annotated[TrainConfig, tyro.conf.arg(name="")]
    """Environment, network, learner and length of the run."""
    teacher: str = "oracle"
    """Who answers: oracle, mistake, noisy, skip, myopic, equal, or human."""
    terms: Annotated[Mapping[str, float], tyro.conf.Suppress] = field(default_factory=dict)
    """Weights of the environment's reward terms that a scripted teacher judges by; empty: the
    task's own reward."""
    prompt: str = ""
    """What the labelling page says above the clips; empty: its own words."""
    queries: QueryConfig = field(default_factory=QueryConfig)
    """What is asked, how much and when."""
    relabel: RelabelConfig = field(default_factory=RelabelConfig)
    """How the learned reward reaches the learner."""
    model: RewardModelConfig = field(default_factory=RewardModelConfig)
    """Networks of the reward model."""
    fit: RewardTrainerConfig = field(default_factory=RewardTrainerConfig)
    """How the reward model is fitted."""

    def __post_init__(self) -> None:
        """Check the teacher."""
        if self.teacher not in (*TEACHERS, HUMAN):
            raise ValueError(
                f"unknown teacher {self.teacher!r}; the teachers are {', '.join(TEACHERS)}, {HUMAN}"
            )


@dataclass
class PreferenceRun:
    """Hold a training run and the loop that learns its reward."""

    run: Run
    """The training run; `run.loop.run()` trains."""
    loop: PreferenceLoop
    """Segments, questions, answers and reward model."""
    config: PreferenceConfig
    """What was asked for."""
    people: People | None
    """Whom it asks, if the teacher is human; to be closed in the end."""


class QuestionsHook:
    """Log the counts of questions and answers; a hook of the training loop."""

    def __init__(self, loop: PreferenceLoop) -> None:
        self.loop = loop

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Return the counts, also while there is no reward yet."""
        return self.loop.figures()


def build_preferences(config: PreferenceConfig, folder: Path | str | None = None) -> PreferenceRun:
    """Build a run and the loop that learns its reward, without training yet.

    ValueError names any unknown environment, option, term or field, or says that people need a
    folder.
    """
    train = config.train
    plain = make_env(train.env, train.num_envs, **train.env_options)
    env = relabelled_env(plain, config.relabel)
    ensemble = RewardEnsemble(plain.spec, config.model, seed=child_seed(train.seed, "reward"))
    ensemble.to(train.device)
    trainer = RewardTrainer(ensemble, config.fit, seed=child_seed(train.seed, "reward fit"))
    gamma = train.ppo.group_gamma.get(PREFERENCE, train.ppo.gamma)
    relabel = RelabelByReward(ensemble, env.spec, config.relabel, gamma=gamma)
    people = _people(config, plain.spec, folder)
    loop = PreferenceLoop(
        env,
        trainer,
        relabel,
        people.answers if people else _scripted(config, env.spec),
        config.queries,
        seed=child_seed(train.seed, "preferences"),
    )
    additions = Additions(env, [loop.recorder], {"preferences": loop}, loop)
    run = build_run(train, folder, additions)
    seating = run.loop.engine.seating
    loop.fraction = lambda: run.loop.fraction_done
    loop.judged = seating.trains
    run.loop.hooks.append(QuestionsHook(loop))
    if people is not None:
        people.attach(run.loop, loop, seating)
    return PreferenceRun(run, loop, config, people)


def start_preferences(config: PreferenceConfig, folder: Path | str) -> PreferenceRun:
    """Build a run in a new folder; ValueError if the folder holds a run already."""
    built: list[PreferenceRun] = []

    def build(train: TrainConfig, folder: Path) -> Run:
        built.append(build_preferences(config, folder))
        write_atomic(
            folder / PREFERENCES_FILE, yaml.safe_dump(_own_fields(config), sort_keys=False)
        )
        return built[0].run

    start_run(config.train, folder, build)
    return built[0]


def resume_preferences(folder: Path | str, train: TrainConfig | None = None) -> PreferenceRun:
    """Continue a run from its newest whole checkpoint, bit for bit where a script answers.

    `train` replaces the saved training config, to train longer.  ValueError if the folder is no run
    that learns its reward, or holds no whole checkpoint.
    """
    config = preference_config(folder)
    built: list[PreferenceRun] = []

    def build(train: TrainConfig, folder: Path) -> Run:
        built.append(build_preferences(replace(config, train=train), folder))
        return built[0].run

    resume_run(folder, train, build)
    return built[0]


def preference_config(folder: Path | str) -> PreferenceConfig:
    """Read the config of a run that learns its reward; ValueError if the folder is none."""
    path = Path(folder) / PREFERENCES_FILE
    train = run_config(folder)
    if not path.is_file():
        raise ValueError(f"{folder} does not learn its reward: it has no {PREFERENCES_FILE}")
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path} is not a config: expected a mapping, got {type(data).__name__}")
    return from_dict(PreferenceConfig, {**data, "train": to_dict(train)}, str(path))


def _scripted(config: PreferenceConfig, spec: EnvSpec) -> AnswerSource:
    constants = replace(teacher_config(config.teacher), terms=config.terms)
    return ScriptedAnswers(ScriptedTeacher(constants, spec, seed=config.train.seed))


def _people(config: PreferenceConfig, spec: EnvSpec, folder: Path | str | None) -> People | None:
    if config.teacher != HUMAN:
        return None
    if folder is None:
        raise ValueError("people are asked through files: give the run a folder")
    from simrl.runs.people import People  # needs packages that scripted teachers do without

    return People(config.train, spec, Path(folder), config.queries, prompt=config.prompt)


def _own_fields(config: PreferenceConfig) -> dict[str, Any]:
    return {name: value for name, value in to_dict(config).items() if name != "train"}
