"""Building a registered environment's model by name."""

import pytest

from simrl.core.dynamics import TurnDynamics
from simrl.core.plugins import EnvPlugin, make_dynamics


def test_a_model_is_built_by_name():
    assert isinstance(make_dynamics("connect-four"), TurnDynamics)


def test_what_has_no_model_is_named(monkeypatch):
    bare = EnvPlugin(summary="", config=object, make=lambda options, num_envs: None)
    monkeypatch.setattr("simrl.core.plugins.env_plugin", lambda name: bare)
    with pytest.raises(ValueError, match="counting has no dynamics"):
        make_dynamics("counting")


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="colour"):
        make_dynamics("connect-four", colour="red")
