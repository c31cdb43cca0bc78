"""Small environments with known answers, for tests, examples and comparisons."""

from __future__ import annotations

from simrl_envs.toy.base import toy_plugin
from simrl_envs.toy.controls import AxisControls, PushControls, board_controls
from simrl_envs.toy.rules import connect_four as _connect_four
from simrl_envs.toy.rules import tic_tac_toe as _tic_tac_toe
from simrl_envs.toy.rules.boards import BoardDynamics
from simrl_envs.toy.rules.cart_pole import CartPoleConfig, CartPoleEnv, CartPoleRules, make_balance
from simrl_envs.toy.rules.counting import CountingConfig, CountingRules
from simrl_envs.toy.rules.double_integrator import (
    DoubleIntegratorConfig,
    DoubleIntegratorRules,
    make_lqr,
)
from simrl_envs.toy.rules.identity import IdentityConfig, IdentityRules
from simrl_envs.toy.rules.identity_continuous import (
    IdentityContinuousConfig,
    IdentityContinuousRules,
)
from simrl_envs.toy.rules.identity_heads import IdentityHeadsConfig, IdentityHeadsRules
from simrl_envs.toy.rules.memory import MemoryConfig, MemoryRules
from simrl_envs.toy.rules.pendulum import (
    MAX_TORQUE,
    PendulumConfig,
    PendulumEnv,
    PendulumRules,
    make_swing,
)
from simrl_envs.toy.rules.rock_paper_scissors import (
    RockPaperScissorsConfig,
    RockPaperScissorsRules,
)

counting = toy_plugin("count steps; every number known by hand", CountingConfig, CountingRules)
identity = toy_plugin("answer with the number shown", IdentityConfig, IdentityRules)
identity_heads = toy_plugin(
    "press the button shown, with its direction and target, under random masks",
    IdentityHeadsConfig,
    IdentityHeadsRules,
)
identity_continuous = toy_plugin(
    "answer with the floats shown", IdentityContinuousConfig, IdentityContinuousRules
)
memory = toy_plugin("recall a cue after a delay", MemoryConfig, MemoryRules)
rock_paper_scissors = toy_plugin(
    "rock-paper-scissors, two agents at once", RockPaperScissorsConfig, RockPaperScissorsRules
)
tic_tac_toe = toy_plugin(
    "three in a row, two agents in turn",
    _tic_tac_toe.TicTacToeConfig,
    _tic_tac_toe.TicTacToeRules,
    dynamics=BoardDynamics,
    policies={"tactical": _tic_tac_toe.make_tactical},
    controls=board_controls(_tic_tac_toe.TicTacToeRules),
)
connect_four = toy_plugin(
    "four in a row with falling stones, two agents in turn",
    _connect_four.ConnectFourConfig,
    _connect_four.ConnectFourRules,
    dynamics=BoardDynamics,
    policies={"tactical": _connect_four.make_tactical},
    controls=board_controls(_connect_four.ConnectFourRules),
)
cart_pole = toy_plugin(
    "balance a pole on a cart, as gymnasium's CartPole-v1",
    CartPoleConfig,
    CartPoleRules,
    env=CartPoleEnv,
    policies={"balance": make_balance},
    controls=lambda config: PushControls(),
)
double_integrator = toy_plugin(
    "push a mass to the origin at quadratic cost; the optimum is known",
    DoubleIntegratorConfig,
    DoubleIntegratorRules,
    policies={"lqr": make_lqr},
    controls=lambda config: AxisControls(
        -config.max_force, config.max_force, "push left", "push right"
    ),
)
pendulum = toy_plugin(
    "swing a pendulum up and hold it, as gymnasium's Pendulum-v1",
    PendulumConfig,
    PendulumRules,
    env=PendulumEnv,
    policies={"swing": make_swing},
    controls=lambda config: AxisControls(
        MAX_TORQUE, -MAX_TORQUE, "turn anticlockwise", "turn clockwise"
    ),
)
