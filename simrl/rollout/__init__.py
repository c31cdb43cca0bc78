"""Run policies in environments: one loop for learning, evaluation, recording and comparison."""

from simrl.rollout.buffer import RolloutBuffer
from simrl.rollout.engine import RolloutEngine, Timing
from simrl.rollout.episodes import EpisodeTable
from simrl.rollout.evaluate import Evaluation, Score, evaluate
from simrl.rollout.hold import HoldPolicy
from simrl.rollout.intervals import mean_interval, wilson
from simrl.rollout.observer import Observer, StepRecord
from simrl.rollout.observers import ActTimer, ActTimes, EpisodeStats, NanGuard, NonFiniteError
from simrl.rollout.plan import Act
from simrl.rollout.random import RandomPolicy
from simrl.rollout.recorder import Trajectory, TrajectoryRecorder, load_trajectory, replay_to
from simrl.rollout.replay import record_replay
from simrl.rollout.seating import Matchmaker, Seating
from simrl.rollout.threads import choose_threads, torch_threads

__all__ = [
    "Act",
    "ActTimer",
    "ActTimes",
    "EpisodeStats",
    "EpisodeTable",
    "Evaluation",
    "HoldPolicy",
    "Matchmaker",
    "NanGuard",
    "NonFiniteError",
    "Observer",
    "RandomPolicy",
    "RolloutBuffer",
    "RolloutEngine",
    "Score",
    "Seating",
    "StepRecord",
    "Timing",
    "Trajectory",
    "TrajectoryRecorder",
    "choose_threads",
    "evaluate",
    "load_trajectory",
    "mean_interval",
    "record_replay",
    "replay_to",
    "torch_threads",
    "wilson",
]
