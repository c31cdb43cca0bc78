"""Drive the lane by rule: choose a free offset, steer by pure pursuit, keep a safe speed.

Pure pursuit as in "Implementation of the pure pursuit path tracking algorithm" (1992).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl_envs.vehicle.car.command import SPEED_GAIN, as_action
from simrl_envs.vehicle.car.config import CAR, CarLaneConfig
from simrl_envs.vehicle.car.observe import PREVIEW, state_layout

MARGIN = 0.6
"""Room that is wanted between car and obstacle, to the side [m]."""
HORIZON = 32.0
"""Obstacles up to this far ahead are heeded [m]."""
BEHIND = 4.0
"""Obstacles are heeded until they are this far behind the rear axle [m]."""
ROOM = 4.0
"""Distance kept behind an obstacle that is in the way [m]: what it takes to swing out."""
LOOKAHEAD_SECONDS = 0.9
"""Time that the point of pursuit lies ahead [s]."""


class LaneDriver:
    """Act from the state in the car's frame `[rows, D]`; keeps no memory."""

    def __init__(self, config: CarLaneConfig) -> None:
        self.config = config
        self.layout = state_layout(config)
        self.group = "critic" if config.observations == "camera" else "policy"
        self.reads = frozenset({self.group})
        room = config.half_width - 0.5 * CAR.width - 0.4
        self.offsets = torch.linspace(-room, room, 25)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return actions `[rows, 2]`: acceleration and steering rate, or set-points."""
        seen = self.layout.split(obs[self.group])
        car = seen["car"]
        lane = seen["lane"].unflatten(-1, (len(PREVIEW), 3))
        speed, steer = car[:, 0], car[:, 1]
        offset, blocked = self._choose(car, lane, seen.get("obstacles"))
        reach = (LOOKAHEAD_SECONDS * speed).clamp(6.0, 12.0)
        wheel = pursue(lane, offset, reach)
        rate = ((wheel - steer) / 0.15).clamp(-CAR.max_steer_rate, CAR.max_steer_rate)
        wanted = self._speed(car[:, 6], lane)
        wanted = torch.minimum(wanted, blocked)
        push = SPEED_GAIN * (wanted - speed)
        push = push.clamp(-self.config.max_brake, self.config.max_throttle)
        return PolicyOutput(torch.stack(as_action(self.config, (push, rate), speed, steer), dim=-1))

    def _choose(self, car: Tensor, lane: Tensor, discs: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the offset to drive at `[rows]` [m] and the speed that obstacles allow [m/s]."""
        rows = len(car)
        free = torch.full((rows,), math.inf)
        if discs is None:
            return torch.zeros(rows), free
        x, radius = discs[..., 1], discs[..., 5]
        aside = offset_of(lane, discs[..., 1:3])
        near = (discs[..., 0] > 0.5) & (x > -BEHIND) & (x < HORIZON)
        width = radius + 0.5 * CAR.width
        # How far each candidate offset [rows, K] reaches into the room of each disc [rows, M].
        lack = width[:, None] + MARGIN - (self.offsets[:, None] - aside[:, None]).abs()
        lack = torch.where(near[:, None], lack.clamp(min=0.0), torch.zeros_like(lack))
        weight = torch.exp(-x.clamp(min=0.0) / 10.0)[:, None]
        now = car[:, 4:5]
        cost = 0.15 * self.offsets.abs() + 0.1 * (self.offsets - now).abs()
        # To change sides in front of a disc takes room, more the closer it is.
        crosses = (self.offsets[:, None] - aside[:, None]) * (now - aside)[:, None] < 0.0
        change = torch.where(near, (now - aside).abs(), torch.zeros_like(aside))[:, None] * crosses
        late = torch.exp(-x.clamp(min=0.0) / 5.0)[:, None] * (car[:, :1, None] / 5.0).clamp(max=1.0)
        cost = cost + (10.0 * weight * lack + 10.0 * late * change).sum(-1)
        offset = self.offsets[cost.argmin(-1)]
        # Who is still in the way is not overtaken: slow down to its speed before it.
        facing = near & (x > 0.0) & ((now - aside).abs() < width + 0.2)
        gap = x - radius - 0.5 * (CAR.length + CAR.wheelbase) - ROOM
        own = (car[:, 0:1] + discs[..., 3]).clamp(min=0.0)
        allowed = own + torch.where(gap > 0.0, torch.sqrt(4.0 * gap.clamp(min=0.0)), 0.4 * gap)
        allowed = torch.where(facing, allowed.clamp(min=0.5), torch.full_like(allowed, math.inf))
        return offset, allowed.amin(-1)

    def _speed(self, here: Tensor, lane: Tensor) -> Tensor:
        """Return the speed that the bends within 20 m allow [m/s]."""
        bend = torch.cat([here[:, None], lane[:, :5, 2]], dim=-1).abs().amax(-1).clamp(min=1e-6)
        limit = torch.sqrt(self.config.max_lateral / bend)
        return limit.clamp(max=self.config.target_speed)


def pursue(lane: Tensor, offset: Tensor, reach: Tensor) -> Tensor:
    """Return the steering angle `[rows]` [rad] that leads to the lane's offset `reach` m ahead.

    lane: `[rows, K, 3]` with the centre line's x and y in the frame of the rear axle.
    """
    x, y, heading = along(lane, reach)
    tx, ty = x - offset * torch.sin(heading), y + offset * torch.cos(heading)
    square = (tx * tx + ty * ty).clamp(min=1.0)
    return torch.atan(2.0 * CAR.wheelbase * ty / square).clamp(-0.6, 0.6)


def along(lane: Tensor, metres: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x, y and heading of the centre line `metres` `[rows]` ahead, in the car's frame."""
    marks = torch.tensor(PREVIEW)
    index = torch.bucketize(metres.clamp(PREVIEW[0], PREVIEW[-1] - 1e-3), marks, right=True) - 1
    index = index.clamp(0, len(PREVIEW) - 2)
    share = (metres - marks[index]) / (marks[index + 1] - marks[index])
    take = torch.arange(len(lane))
    near, far = lane[take, index, :2], lane[take, index + 1, :2]
    place = near + share[:, None] * (far - near)
    return place[:, 0], place[:, 1], torch.atan2(far[:, 1] - near[:, 1], far[:, 0] - near[:, 0])


def offset_of(lane: Tensor, places: Tensor) -> Tensor:
    """Return the offset from the centre line `[rows, M]` [m] of `places` `[rows, M, 2]`.

    The line through the two preview points around a place stands for the centre line.
    """
    points = lane[:, :, :2]
    near, far = points[:, :-1], points[:, 1:]
    chord = far - near
    length = chord.norm(dim=-1).clamp(min=1e-6)
    delta = places[:, :, None] - near[:, None]
    share = (delta * chord[:, None]).sum(-1) / length[:, None].square()
    side = chord[:, None, :, 0] * delta[..., 1] - chord[:, None, :, 1] * delta[..., 0]
    outside = (share - share.clamp(0.0, 1.0)).abs() * length[:, None]
    best = outside.argmin(-1, keepdim=True)
    return (side / length[:, None]).gather(-1, best).squeeze(-1)


def make_driver(config: CarLaneConfig) -> LaneDriver:
    """Build the rule-based driver."""
    return LaneDriver(config)
