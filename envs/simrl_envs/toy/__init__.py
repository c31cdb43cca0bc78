"""Small environments with known answers, for tests, examples and comparisons."""

from __future__ import annotations

from simrl_envs.toy.base import toy_plugin
from simrl_envs.toy.rules.cart_pole import (
    CartPoleConfig,
    CartPoleEnv,
    CartPoleRules,
    make_balance,
)
from simrl_envs.toy.rules.counting import CountingConfig, CountingRules
from simrl_envs.toy.rules.identity import IdentityConfig, IdentityRules
from simrl_envs.toy.rules.memory import MemoryConfig, MemoryRules

counting = toy_plugin("count steps; every number known by hand", CountingConfig, CountingRules)
identity = toy_plugin("answer with the number shown", IdentityConfig, IdentityRules)
memory = toy_plugin("recall a cue after a delay", MemoryConfig, MemoryRules)
cart_pole = toy_plugin(
    "balance a pole on a cart, as gymnasium's CartPole-v1",
    CartPoleConfig,
    CartPoleRules,
    env=CartPoleEnv,
    policies={"balance": make_balance},
)
