"""Mobile manipulation: a whole-body QP for base and arm, and phases that pick, place and open.

`whole-body` follows the pose that a task asks of the hand; `pick-place` is a machine of phases that
drives, reaches, picks and places, or opens a drawer, whichever the task is.
"""

from __future__ import annotations

from simrl.core import EnvSpec, Policy
from simrl.core.plugins import ControllerPlugin
from simrl_controllers.mobile.config import WholeBodyConfig


def make_whole_body(spec: EnvSpec, config: WholeBodyConfig) -> Policy:
    """Build whole-body control of base and arm that follows the task's pose of the hand."""
    from simrl_controllers.mobile.build import build_follower

    return build_follower(spec, config)


def make_pick_place(spec: EnvSpec, config: WholeBodyConfig) -> Policy:
    """Build the machine of phases for the task of `spec`."""
    from simrl_controllers.mobile.build import build_worker

    return build_worker(spec, config)


whole_body = ControllerPlugin(
    "follow a pose with a mobile manipulator's hand: base and arm in one QP",
    WholeBodyConfig,
    make_whole_body,
)
pick_place = ControllerPlugin(
    "pick and place, open a drawer, reach or drive with a mobile manipulator, phase by phase",
    WholeBodyConfig,
    make_pick_place,
)

__all__ = [
    "WholeBodyConfig",
    "make_pick_place",
    "make_whole_body",
    "pick_place",
    "whole_body",
]
