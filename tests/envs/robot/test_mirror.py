"""Mirror images of legged robots: the physics itself says whether they are right."""

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.learn.mirror import Mirror

FLIP = {  # of the free joint: place, quaternion; velocity in the world, turning in the body
    "qpos": torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0]),
    "qvel": torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]),
    "command": torch.tensor([1.0, -1.0, -1.0]),
}


def reflected(env, mirror, state):
    """Return the mirror images of state rows."""
    image = state.clone()
    where = env.spec.physics["state"]
    for name in ("qpos", "qvel"):
        part, base = state[:, where[name]], len(FLIP[name])
        joints = mirror("action", part[:, base:].float()).double()
        image[:, where[name]] = torch.cat([part[:, :base] * FLIP[name], joints], 1)
    image[:, where["command"]] = state[:, where["command"]] * FLIP["command"]
    for name in ("action", "ctrl"):
        image[:, where[name]] = mirror("action", state[:, where[name]].float()).double()
    image[:, where["air_time"]] = state[:, where["air_time"]][:, [1, 0, 3, 2]]
    image[:, where["warmstart"]] = 0.0
    return image


@pytest.mark.parametrize(("robot", "size"), [("quadruped", 0.3), ("go2", 0.06)])
def test_a_mirrored_robot_moves_as_the_mirror_shows(robot, size):
    """The Go2 only sways: where its meshes touch each other, contacts are not those of a mirror."""
    env = make_env("quadruped-velocity", 8, robot=robot, physics_step=0.005, threads=1)
    mirror = Mirror.of(env.spec)
    assert mirror.groups == {"policy", "critic", "action"}
    env.reset(3)
    low, high = torch.tensor(env.spec.actions.low), torch.tensor(env.spec.actions.high)
    generator = torch.Generator().manual_seed(0)

    def drawn():
        unit = torch.rand(4, 1, 12, generator=generator) - 0.5
        return (low + high) / 2 + size * (high - low) * unit

    for _ in range(15):  # somewhere in the middle of stumbling
        half = drawn()
        env.step(torch.cat([half, half]))
    state = env.snapshot()
    state[:4, env.spec.physics["state"]["warmstart"]] = 0.0
    state[4:] = reflected(env, mirror, state[:4])
    obs = env.restore(state)
    # Forces of the critic's group are those of the last step that was made.
    assert torch.allclose(obs["policy"][4:], mirror("policy", obs["policy"][:4]), atol=1e-4)
    for _ in range(3):
        action = drawn()
        step = env.step(torch.cat([action, mirror("action", action)]))
        assert not step.done.any()
        for name in ("policy", "critic"):
            gap = (step.obs[name][4:] - mirror(name, step.obs[name][:4])).abs()
            names = env.spec.observations[name].names()
            assert gap.max() < 0.2, (float(gap.max()), names[int(gap.argmax()) % len(names)])
            apart = (step.obs[name][4:] - step.obs[name][:4]).abs()
            assert gap.mean() < 0.15 * apart.mean()
        assert torch.allclose(step.reward[4:], step.reward[:4], atol=0.001)


def test_robots_with_unequal_sides_have_no_image(tmp_path):
    from simrl_envs.robot.plugin import TASKS

    text = (TASKS.parent / "mjcf" / "quadruped.xml").read_text()
    moved = text.replace(
        'name="RR_hip" pos="-0.1934 -0.0465 0"', 'name="RR_hip" pos="-0.17 -0.04 0"'
    )
    assert moved != text
    (tmp_path / "limping.xml").write_text(moved)
    env = make_env("quadruped-velocity", 1, robot=str(tmp_path / "limping.xml"))
    assert "mirror" not in env.spec.physics
    with pytest.raises(ValueError, match="tells no mirror image"):
        Mirror.of(env.spec)
    with pytest.raises(ValueError, match="cartpole-balance tells no mirror image"):
        Mirror.of(make_env("cartpole-balance", 1).spec)
