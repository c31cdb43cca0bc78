"""Do the main job once, end to end: train a 1v1 MOBA agent by self-play, measure it, show it.

`make demo` runs this.  It is four `simrl` commands in a row, which people can type themselves.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from simrl.cli import main as simrl

OPPONENT = "lane-pusher"


def main() -> int:
    """Train, play, report; return the exit code of the first command that fails."""
    run = Path("runs") / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    replay = run / "replays" / f"trained-vs-{OPPONENT}.jsonl"
    commands = [
        ["train", "moba-1v1-demo", "--out", str(run), *sys.argv[1:]],
        ["play", str(run), OPPONENT, "--out", str(replay)],
        ["report", str(run)],
    ]
    started = time.monotonic()
    for command in commands:
        print(f"\n$ simrl {' '.join(command)}", flush=True)
        code = simrl(command)
        if code:
            return code
    minutes = (time.monotonic() - started) / 60.0
    print(f"\nDone in {minutes:.1f} minutes. To look at:")
    print(f"  {run / 'report.html'}   the report: open it in a browser")
    print(f"  .venv/bin/simrl watch {replay}   the trained agent's game")
    return 0


if __name__ == "__main__":
    sys.exit(main())
