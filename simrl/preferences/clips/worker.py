"""Draw clips in a process of its own: `python -m simrl.preferences.clips.worker FOLDER`.

Reads one id a line from standard input and answers each with one line of JSON: `{"id": ID}`, with
`"error": TEXT` if it could not be drawn.  Ends at the end of its input, so it never outlives the
program that started it by more than one clip.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Final, TextIO

import torch

from simrl.preferences.clips.library import ClipLibrary
from simrl.preferences.clips.render import render_clip

NICE: Final = 10
"""How far drawing steps back behind what people and learners wait for."""


def work(library: ClipLibrary, ids: Iterable[str], answers: TextIO) -> None:
    """Draw each clip and answer; a clip that cannot be drawn stops nobody else's."""
    for line in ids:
        clip = line.strip()
        answer = {"id": clip}
        try:
            render_clip(library, clip)
        except Exception as error:  # an environment is anybody's code
            answer["error"] = f"{type(error).__name__}: {error}"
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main(folder: str) -> None:
    """Answer what standard input asks for."""
    os.nice(NICE)
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    work(ClipLibrary(folder), sys.stdin, answers)


if __name__ == "__main__":
    main(sys.argv[1])
