"""Listed contacts: the same contacts as those that MuJoCo's sweep finds, to the last bit."""

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")

from simrl.core.plugins import make_env  # noqa: E402
from simrl_envs.robot.listed_contacts import list_contacts, possible_pairs  # noqa: E402

HEAP = """
<mujoco>
  <option timestep="0.004" cone="{cone}"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 0.1" friction="0.4 0.02 0.001" solmix="3"/>
    <geom type="box" size="0.2 0.2 0.05" pos="0.3 0 0.05" margin="0.01" contype="2"/>
    <body pos="0 0 0.5">
      <freejoint/>
      <geom size="0.1" margin="0.02" gap="0.005" friction="0.9 0.01 0.002" condim="6"/>
      <geom type="box" size="0.1 0.05 0.05" pos="0.15 0 0" solref="0.01 0.7" conaffinity="3"/>
      <body pos="0 0.15 0">
        <geom type="capsule" size="0.04 0.1" solimp="0.8 0.9 0.01 0.4 3"/>
        <body pos="0 0.2 0">
          <joint axis="1 0 0"/>
          <geom type="capsule" size="0.04 0.1" priority="1" friction="0.2 0.005 0.001"/>
          <body pos="0 0.2 0">
            <joint axis="0 1 0"/>
            <geom size="0.06" solref="-900 -20"/>
          </body>
        </body>
      </body>
    </body>
    <body pos="0.05 0.05 1">
      <freejoint/>
      <geom type="cylinder" size="0.08 0.1" solmix="0" condim="1"/>
      <geom size="0.05" pos="0.1 0 0" contype="0" conaffinity="0"/>
      <geom size="0.05" pos="0 0.1 0" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  {more}
</mujoco>
"""


def _compiled(more="", cone="pyramidal"):
    spec = mujoco.MjSpec.from_string(HEAP.format(more=more, cone=cone))
    plain = spec.compile()
    return plain, list_contacts(spec, plain)


@pytest.mark.parametrize("cone", ["pyramidal", "elliptic"])
def test_a_falling_heap_touches_and_moves_as_with_the_sweep(cone):
    plain, listed = _compiled(cone=cone)
    assert listed.npair > 0 and not (listed.geom_contype | listed.geom_conaffinity).any()
    swept, found = mujoco.MjData(plain), mujoco.MjData(listed)
    kinds = set()
    for _ in range(500):
        mujoco.mj_step(plain, swept)
        mujoco.mj_step(listed, found)
        assert swept.ncon == found.ncon
        for name in ("geom", "dist", "pos", "frame", "includemargin", "friction", "solref"):
            theirs, ours = getattr(swept.contact, name), getattr(found.contact, name)
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
        np.testing.assert_array_equal(found.contact.solimp, swept.contact.solimp)
        np.testing.assert_array_equal(found.contact.dim, swept.contact.dim)
        np.testing.assert_array_equal(found.qpos, swept.qpos)
        kinds |= {tuple(pair) for pair in swept.contact.geom.tolist()}
    assert len(kinds) >= 6, kinds


def test_geoms_that_move_together_or_are_neighbours_are_no_pair():
    plain, _ = _compiled()
    # By number: 0 floor, 1 step, 2 to 4 welded, 5 their child, 6 its child, 7 cylinder, 8 and 9
    # ghosts.  MuJoCo goes through the pairs of bodies first: (floor, step) x (2, 3), then x 4, ...
    # Of the box 1 and the sphere 2, the sphere is the first.
    assert possible_pairs(plain) == [
        *[(0, 2), (0, 3), (1, 3), (1, 2), (0, 4), (1, 4), (0, 5), (1, 5), (0, 6), (1, 6)],
        *[(0, 7), (1, 7), (2, 6), (3, 6), (2, 7), (3, 7), (4, 6), (4, 7), (5, 7), (6, 7)],
    ]


@pytest.mark.parametrize(
    "more",
    [
        '<contact><pair geom1="floor" geom2="ball"/></contact>',
        '<contact><exclude body1="world" body2="ball"/></contact>',
    ],
)
def test_a_model_with_pairs_or_exclusions_of_its_own_stays_as_it_is(more):
    xml = HEAP.format(more=more, cone="pyramidal")
    xml = xml.replace('<body pos="0.05', '<body name="ball" pos="0.05').replace(
        '<geom type="cylinder"', '<geom name="ball" type="cylinder"'
    )
    spec = mujoco.MjSpec.from_string(xml)
    plain = spec.compile()
    assert list_contacts(spec, plain) is plain


@pytest.mark.parametrize(
    ("env", "listed"),
    [
        ("gymnasium/Ant-v5", 13),
        ("gymnasium/HalfCheetah-v5", 8),
        ("gymnasium/Humanoid-v5", 0),  # 126 pairs: too many
        ("quadruped-velocity", 27),
    ],
)
def test_which_tasks_have_their_contacts_listed(env, listed):
    if env.startswith("gymnasium"):
        pytest.importorskip("gymnasium")
    model = make_env(env, 1).simulation.model
    assert model.npair == listed
    assert bool(model.geom_contype.any()) == (listed == 0)
