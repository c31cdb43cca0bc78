"""Check that an environment, a policy or a dynamics function keeps its contract.

Authors of plug-ins run these in their own tests; every problem raises `CheckFailed` with a sentence
that says what was expected and what came.
"""

from simrl.core.checks.dynamics import check_dynamics
from simrl.core.checks.env import check_env
from simrl.core.checks.failed import CheckFailed
from simrl.core.checks.policy import check_policy
from simrl.core.checks.sample import random_action, seat_rows
from simrl.core.checks.turn_rules import check_turn_rules

__all__ = [
    "CheckFailed",
    "check_dynamics",
    "check_env",
    "check_policy",
    "check_turn_rules",
    "random_action",
    "seat_rows",
]
