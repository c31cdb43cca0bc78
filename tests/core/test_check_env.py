"""Every promise of an environment, broken on purpose: check_env has to notice."""

import dataclasses

import numpy as np
import pytest
import torch

from simrl.core.checks import CheckFailed, check_env
from simrl.core.plugins import make_env


class Wrapped:
    """Pass everything on to a toy; the subclasses below break one thing each."""

    name = "counting"
    options = {"truncate_at": 5}  # noqa: RUF012

    def __init__(self, num_envs):
        self.env = make_env(self.name, num_envs, **self.options)
        self.spec, self.num_envs, self.device = self.env.spec, num_envs, self.env.device

    def __getattr__(self, name):
        return getattr(self.env, name)

    def reset(self, seed):
        return self.env.reset(seed)

    def step(self, action):
        return self.alter(self.env.step(action))

    def alter(self, step):
        return step


class WrongDtype(Wrapped):
    def alter(self, step):
        return dataclasses.replace(step, reward=step.reward.double())


class WrongShape(Wrapped):
    def alter(self, step):
        return dataclasses.replace(step, reward=step.reward[:, 0])


class NotFinite(Wrapped):
    def alter(self, step):
        return dataclasses.replace(step, obs={**step.obs, "policy": step.obs["policy"] / 0})


class OutOfRange(Wrapped):
    def alter(self, step):
        return dataclasses.replace(step, obs={**step.obs, "policy": step.obs["policy"] + 9})


class BothEnds(Wrapped):
    def alter(self, step):
        return dataclasses.replace(step, terminated=step.truncated)


class Overlong(Wrapped):
    def __init__(self, num_envs):
        super().__init__(num_envs)
        self.spec = dataclasses.replace(self.spec, max_steps=4)


class FinalObsOfNewEpisode(Wrapped):
    def alter(self, step):
        return dataclasses.replace(step, final_obs={**step.final_obs, "policy": step.obs["policy"]})


class FinalStateOfNewEpisode(Wrapped):
    def alter(self, step):
        return dataclasses.replace(step, final_obs=step.obs)


class ObsOfOldEpisode(Wrapped):
    def alter(self, step):
        old = torch.where(step.done[:, None, None], step.final_obs["policy"], step.obs["policy"])
        return dataclasses.replace(step, obs={**step.obs, "policy": old})


class NoFinalCritic(Wrapped):
    def alter(self, step):
        return dataclasses.replace(step, final_obs={"policy": step.final_obs["policy"]})


class UnknownMetric(Wrapped):
    def alter(self, step):
        return dataclasses.replace(step, metrics={"luck": step.reward})


class NoMask(Wrapped):
    def alter(self, step):
        rest = {name: value for name, value in step.obs.items() if name != "action_mask"}
        return dataclasses.replace(step, obs=rest)


class NothingLegal(Wrapped):
    def alter(self, step):
        mask = torch.zeros_like(step.obs["action_mask"])
        return dataclasses.replace(step, obs={**step.obs, "action_mask": mask})


class StuckHead(Wrapped):
    name, options = "identity-heads", {}

    def alter(self, step):
        mask = step.obs["action_mask"].clone()
        mask[0, 0, self.spec.actions.mask_slices[2]] = False
        mask[0, 0, 0:4] = True
        return dataclasses.replace(step, obs={**step.obs, "action_mask": mask})


class WrongSum(Wrapped):
    name, options = "double-integrator", {}

    def alter(self, step):
        return dataclasses.replace(step, reward=step.reward * 1.001)


class UnseededReward(Wrapped):
    luck = np.random.default_rng()

    def alter(self, step):
        return dataclasses.replace(step, reward=step.reward + float(self.luck.random()))


class RowsMixed(Wrapped):
    name, options = "identity", {}

    def alter(self, step):
        return dataclasses.replace(step, reward=step.reward + step.reward.sum())


class DependsOnCount(Wrapped):
    def alter(self, step):
        return dataclasses.replace(step, reward=step.reward + self.num_envs)


class HiddenState(Wrapped):
    """Keep a step count outside the snapshot."""

    steps = 0

    def reset(self, seed):
        self.steps = 0
        return self.env.reset(seed)

    def alter(self, step):
        self.steps += 1
        return dataclasses.replace(step, reward=step.reward + self.steps)


class LiveSnapshot(Wrapped):
    def snapshot(self):
        return self.env.restore(self.env.snapshot())["state"]


class RestoresAllRows(Wrapped):
    def restore(self, snapshot, rows=None):
        if rows is None:
            return self.env.restore(snapshot)
        everywhere = snapshot[:1].expand(self.num_envs, -1).clone()
        everywhere[rows] = snapshot
        return self.env.restore(everywhere)


class IgnoresRequest(Wrapped):
    def request(self, groups):
        if "no such group" in groups:
            self.env.request(groups)


class AcceptsUnknownGroup(Wrapped):
    def request(self, groups):
        self.env.request([name for name in groups if name != "no such group"])


class AcceptsIllegal(Wrapped):
    name, options = "tic-tac-toe", {}

    def step(self, action):
        if action.shape[-1] == 1:
            mask = self.env.restore(self.env.snapshot())["action_mask"]
            legal = self.spec.actions.legal(mask, action)
            action = torch.where(legal, action, mask.int().argmax(-1, keepdim=True))
        return self.env.step(action)


class ForgetsTheRefusal(Wrapped):
    """Refuse a bad action only after having played another one."""

    def step(self, action):
        try:
            return self.env.step(action)
        except ValueError:
            self.env.step(torch.zeros(self.num_envs, 1, 1, dtype=torch.int64))
            raise


class AcceptsNan(Wrapped):
    name, options = "double-integrator", {"episode_steps": 8}

    def step(self, action):
        return self.env.step(torch.nan_to_num(action))


class ChangesTheAction(Wrapped):
    def step(self, action):
        step = self.env.step(action)
        action += 1
        return step


class GreyPicture(Wrapped):
    def render(self, row):
        return self.env.render(row)[..., 0]


BROKEN = [
    (WrongDtype, r"reward must be torch.float32 \(4, 1\), got torch.float64"),
    (WrongShape, r"reward must be torch.float32 \(4, 1\)"),
    (NotFinite, "'policy' is not finite"),
    (OutOfRange, "column clock.count is .* documented range is 0.0 to 5.0"),
    (BothEnds, "both terminated and truncated"),
    (Overlong, "have run 4 steps"),
    (FinalObsOfNewEpisode, "the state in final_obs shows"),
    (FinalStateOfNewEpisode, "final_obs holds the state of the new episode"),
    (ObsOfOldEpisode, "the state in obs shows"),
    (NoFinalCritic, "final_obs has groups"),
    (UnknownMetric, "metrics are"),
    (NoMask, "no group 'action_mask'"),
    (NothingLegal, "has no legal action at all"),
    (StuckHead, "no value of head 'target' is legal"),
    (WrongSum, "its terms times weights give"),
    (UnseededReward, "the same seed and actions gave other bits"),
    (RowsMixed, "row 0 depends on the other rows"),
    (DependsOnCount, "row 0 depends on the other rows"),
    (HiddenState, "after restore in the same environments"),
    (LiveSnapshot, "a snapshot changed"),
    (RestoresAllRows, "restoring row 1 alone"),
    (IgnoresRequest, "still returned"),
    (AcceptsUnknownGroup, "accepted the unknown group"),
    (AcceptsIllegal, "step accepted"),
    (ForgetsTheRefusal, "changed the state"),
    (AcceptsNan, "step accepted the float nan"),
    (ChangesTheAction, "changed its action"),
    (GreyPicture, "render must return"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN, ids=[b.__name__ for b, _ in BROKEN])
def test_broken_environment_is_found(broken, message):
    with pytest.raises(CheckFailed, match=message):
        check_env(broken, num_steps=24)


def test_whole_environment_passes():
    check_env(Wrapped, num_steps=24)


def test_an_episode_has_to_end():
    with pytest.raises(CheckFailed, match="no episode ended in 4 steps"):
        check_env(Wrapped, num_steps=4)
    check_env(Wrapped, num_steps=4, must_end=False)
