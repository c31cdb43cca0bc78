"""Every promise of a policy, broken on purpose: check_policy has to notice."""

import numpy as np
import pytest
import torch

from simrl.core.checks import CheckFailed, check_policy
from simrl.core.plugins import make_env
from simrl.core.policy import PolicyOutput


class Sound:
    """Choose legal heads at random, or the first legal ones; count calls as memory."""

    reads = frozenset({"policy", "action_mask"})
    spec = make_env("identity-heads", 1).spec

    def initial_state(self, num_rows):
        return {"calls": torch.zeros(num_rows, 1)}

    def act(self, obs, state, rng, *, deterministic=False):
        actions, mask, values = self.spec.actions, obs["action_mask"], []
        for index in range(3):
            legal = actions.head_mask(mask, index, values[0] if values else None).float()
            if not deterministic:
                legal = legal * (0.5 + torch.rand(legal.shape, generator=rng))
            values.append(legal.argmax(-1))
        action = torch.stack(values, -1)
        action = torch.where(actions.used(mask, values[0]), action, 0)
        return PolicyOutput(self.alter(action, obs), {"calls": state["calls"] + 1}, {})

    def alter(self, action, obs):
        return action


class ReadsMore(Sound):
    reads = frozenset({"action_mask"})

    def alter(self, action, obs):
        return action + 0 * obs["policy"][:, :1].long()


class ReadsUnknown(Sound):
    reads = frozenset({"action_mask", "picture"})


class ReadsList(Sound):
    reads = ("action_mask",)


class Illegal(Sound):
    def alter(self, action, obs):
        action[:, 0] = 4
        return action


class UnusedNotZero(Sound):
    def alter(self, action, obs):
        used = self.spec.actions.used(obs["action_mask"], action[:, 0])
        return torch.where(used, action, 1)


class FloatAction(Sound):
    def alter(self, action, obs):
        return action.float()


class FlatAction(Sound):
    def alter(self, action, obs):
        return action[:, 0]


class GlobalTorch(Sound):
    def alter(self, action, obs):
        torch.rand(1)
        return action


class GlobalNumpy(Sound):
    def alter(self, action, obs):
        np.random.rand(1)
        return action


class ChangesObs(Sound):
    def alter(self, action, obs):
        obs["policy"].zero_()
        return action


class OwnRandomness(Sound):
    own = torch.Generator()

    def act(self, obs, state, rng, *, deterministic=False):
        return super().act(obs, state, self.own, deterministic=False)


class OtherRows(Sound):
    """Let the first row decide whether the buttons are the first or the last legal ones."""

    def act(self, obs, state, rng, *, deterministic=False):
        output = super().act(obs, state, rng, deterministic=True)
        if obs["policy"][0, 0] == 1.0:
            return output
        actions, mask, values = self.spec.actions, obs["action_mask"], []
        for index, head in enumerate(actions.heads):
            legal = actions.head_mask(mask, index, values[0] if values else None).int()
            values.append((legal * torch.arange(1, head.size + 1)).argmax(-1))
        action = torch.stack(values, -1)
        action = torch.where(actions.used(mask, values[0]), action, 0)
        return PolicyOutput(action, output.state)


class ForgetsState(Sound):
    def act(self, obs, state, rng, *, deterministic=False):
        return PolicyOutput(super().act(obs, state, rng, deterministic=deterministic).action)


class GrowsState(Sound):
    def act(self, obs, state, rng, *, deterministic=False):
        output = super().act(obs, state, rng, deterministic=deterministic)
        return PolicyOutput(output.action, {"calls": state["calls"].repeat(1, 2)})


class ChangesState(Sound):
    def act(self, obs, state, rng, *, deterministic=False):
        state["calls"] += 1
        return super().act(obs, state, rng, deterministic=deterministic)


class OddStart(Sound):
    def initial_state(self, num_rows):
        return {"calls": torch.arange(num_rows).float()[:, None]}


class ShortExtras(Sound):
    def act(self, obs, state, rng, *, deterministic=False):
        output = super().act(obs, state, rng, deterministic=deterministic)
        return PolicyOutput(output.action, output.state, {"value": torch.zeros(1)})


BROKEN = [
    (ReadsMore, "uses the group 'policy'"),
    (ReadsUnknown, r"reads \['picture'\]"),
    (ReadsList, "reads must be a frozenset"),
    (Illegal, "value 4 of head 'button' is not legal"),
    (UnusedNotZero, "so it must be 0, got 1"),
    (FloatAction, "must be torch.int64"),
    (FlatAction, r"must be torch.int64 \(12, 3\)"),
    (GlobalTorch, "global random generator"),
    (GlobalNumpy, "global random generator"),
    (ChangesObs, "changed its observations"),
    (OwnRandomness, "the same generator state gave another action"),
    (OtherRows, "depends on the rest of the batch"),
    (ForgetsState, r"the state has \[\]"),
    (GrowsState, "state 'calls' must be"),
    (ChangesState, "changed the state it was given"),
    (OddStart, "differs between rows"),
    (ShortExtras, "extras 'value' must be a tensor with 12 rows"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN, ids=[b.__name__ for b, _ in BROKEN])
def test_broken_policy_is_found(broken, message):
    with pytest.raises(CheckFailed, match=message):
        check_policy(broken(), make_env("identity-heads", 12))


def test_sound_policy_passes():
    check_policy(Sound(), make_env("identity-heads", 12))


def test_rows_of_a_planner_may_depend_on_the_batch():
    check_policy(OtherRows(), make_env("identity-heads", 12), rows_independent=False)
