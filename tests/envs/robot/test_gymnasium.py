"""gymnasium's MuJoCo tasks on batch stepping, against gymnasium itself, step by step."""

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco.batch")
gym = pytest.importorskip("gymnasium")

from simrl.core.plugins import make_env  # noqa: E402

TASKS = (
    "HalfCheetah-v5",
    "Ant-v5",
    "Hopper-v5",
    "Walker2d-v5",
    "Humanoid-v5",
    "HumanoidStandup-v5",
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v5",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
)
ENDING = TASKS[1:5] + TASKS[6:8]
"""Tasks that random actions end within the steps played."""
STEPS = 220
ROW = 1


def _put(env, theirs):
    """Give our row gymnasium's state: positions, velocities and the fields that it left behind."""
    rows = env.snapshot()
    parts = env.spec.physics["state"]
    row = torch.zeros_like(rows[ROW])
    row[parts["stream"]] = rows[ROW][parts["stream"]]
    row[parts["qpos"]] = torch.from_numpy(theirs.data.qpos.copy())
    row[parts["qvel"]] = torch.from_numpy(theirs.data.qvel.copy())
    for name, part in parts.items():
        if name.startswith("data."):
            field = getattr(theirs.data, name.removeprefix("data."))
            row[part] = torch.from_numpy(field.ravel().copy())
    return env.restore(row[None], torch.tensor([ROW]))


@pytest.mark.parametrize("name", TASKS)
def test_equals_gymnasium_step_by_step(name):
    theirs = gym.make(name).unwrapped
    env = make_env(f"gymnasium/{name}", 3, threads=2)
    env.reset(0)
    wanted, _ = theirs.reset(seed=3)
    _put(env, theirs)
    np.testing.assert_allclose(env.precise["policy"][ROW], wanted, rtol=0, atol=1e-9)
    low, high = theirs.action_space.low, theirs.action_space.high
    rng, ends = np.random.default_rng(0), 0
    for index in range(STEPS):
        if name == "Ant-v5" and index == 100:  # random actions alone seldom throw it out of bounds
            qpos, qvel = theirs.data.qpos.copy(), theirs.data.qvel.copy()
            qpos[2], qvel[2] = 1.0, 2.0
            theirs.set_state(qpos, qvel)
            _put(env, theirs)
        action = rng.uniform(low, high, (3, len(low))).astype(np.float32)
        wanted, reward, over, _, _ = theirs.step(action[ROW].astype(np.float64))
        step = env.step(torch.from_numpy(action)[:, None])
        assert bool(step.terminated[ROW]) == over, index
        # The humanoid's rewards and contact forces reach 1e3, so "equal to 1e-9" is relative there.
        scale = np.maximum(1.0, np.abs(wanted))
        precise = env.precise["reward"][ROW]
        assert abs(precise - reward) <= 1e-9 * max(1.0, abs(reward)), index
        done = bool(step.done[ROW])
        if not done:
            assert np.abs((env.precise["policy"][ROW] - wanted) / scale).max() <= 1e-9, index
            np.testing.assert_array_equal(
                step.obs["policy"][ROW, 0].numpy(), env.precise["policy"][ROW].astype(np.float32)
            )
        else:
            ends += over
            last = step.final_obs["policy"][ROW, 0].numpy()
            np.testing.assert_allclose(last, wanted, rtol=1e-6, atol=1e-6)
            theirs.reset(seed=index)
            _put(env, theirs)
    assert (ends > 0) == (name in ENDING)


@pytest.mark.parametrize("name", TASKS)
def test_spec_agrees_with_gymnasium(name):
    theirs = gym.make(name)
    spec = make_env(f"gymnasium/{name}", 1).spec
    assert spec.observations["policy"].size == theirs.observation_space.shape[0]
    assert spec.max_steps == gym.spec(name).max_episode_steps
    assert spec.step_seconds == pytest.approx(theirs.unwrapped.dt)
    assert "success" not in spec.metrics  # gymnasium says nothing of success
    np.testing.assert_array_equal(spec.actions.low, theirs.action_space.low)
    np.testing.assert_array_equal(spec.actions.high, theirs.action_space.high)


@pytest.mark.parametrize("name", TASKS)
def test_starts_look_like_gymnasiums(name):
    """Bounds and spread of 200 starts, theirs against ours."""
    theirs = gym.make(name).unwrapped
    sample = []
    for seed in range(200):
        theirs.reset(seed=seed)
        sample.append(np.concatenate([theirs.data.qpos, theirs.data.qvel]))
    env = make_env(f"gymnasium/{name}", 200)
    env.reset(0)
    parts = env.spec.physics["state"]
    rows = env.snapshot().numpy()
    ours = np.concatenate([rows[:, parts["qpos"]], rows[:, parts["qvel"]]], axis=1)
    spread = np.std(sample, axis=0)
    # The mean of 200 draws is within 5 standard errors (0.07 spreads each side), the spread 25 %.
    assert np.all(np.abs(np.mean(sample, axis=0) - ours.mean(axis=0)) <= 0.5 * spread + 1e-12)
    assert np.all(np.abs(ours.std(axis=0) - spread) <= 0.25 * spread + 1e-12)
