"""Find the symmetries of a board game from its spec, for learning from mirror images."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.spec import EnvSpec
from simrl.learn.search_learner import Symmetry


def mirror_symmetry(spec: EnvSpec) -> Symmetry:
    """Return the left-right mirror image of a board.

    Every map of the observation is turned about its vertical axis.  The moves must be the board's
    columns or its cells, row by row, with "wait" after them.  That the rules are the same seen in a
    mirror is not checked.  ValueError if the spec is not that of such a board.
    """
    layout = spec.observations["policy"]
    boards = [block for block in layout.blocks if block.kind == "map"]
    if not boards or not isinstance(spec.actions, DiscreteActions):
        raise ValueError(f"{spec.id} shows no board: it has no mirror image")
    _, height, width = boards[0].shape
    sizes = [head.size for head in spec.actions.heads]
    if len(sizes) != 1 or sizes[0] - 1 not in (width, height * width):
        raise ValueError(
            f"{spec.id}: a board of {height} x {width} has a mirror image if its moves are its "
            f"{width} columns or {height * width} cells and to wait; the heads have {sizes} values"
        )
    columns = []
    for block in layout.blocks:
        part = torch.arange(layout.size)[layout.slices[block.name]]
        columns.append(part.view(block.shape).flip(-1).flatten() if block.kind == "map" else part)
    moves = torch.arange(sizes[0] - 1)
    mirrored: Tensor = moves.view(-1, width).flip(-1).flatten()
    values = torch.cat([mirrored, torch.tensor([sizes[0] - 1])])
    return Symmetry(obs={"policy": torch.cat(columns), "action_mask": values}, slots=values)
