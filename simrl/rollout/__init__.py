"""Run policies in environments: one loop for learning, evaluation, recording and comparison."""

from simrl.rollout.buffer import RolloutBuffer
from simrl.rollout.engine import RolloutEngine, Timing
from simrl.rollout.episodes import EpisodeTable
from simrl.rollout.observers import Observer, StepRecord
from simrl.rollout.plan import Act
from simrl.rollout.seating import Matchmaker, Seating
from simrl.rollout.threads import choose_threads, torch_threads

__all__ = [
    "Act",
    "EpisodeTable",
    "Matchmaker",
    "Observer",
    "RolloutBuffer",
    "RolloutEngine",
    "Seating",
    "StepRecord",
    "Timing",
    "choose_threads",
    "torch_threads",
]
