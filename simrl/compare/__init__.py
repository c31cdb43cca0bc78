"""Compare controllers: scenarios, metrics, statistics; `simrl compare` is the command.

    plan = Plan(find_grids("quadrotor-track", "push"), (Entrant("lqr", ("lqr",)), ...))
    check(plan, make_member)                  # what does not fit is said before anything is played
    table = run(plan, make_member, "folder")  # every episode; goes on where it was stopped
    summary = summarise(table)                # figures with intervals, pairs, winners

`make_member(name, spec, options of the environment)` builds a policy; `simrl.runs.controllers` has
the one behind the command.
"""

from simrl.compare.grid_file import GridFile, find_grids, parse_grids, read_grids, shipped
from simrl.compare.judge import Judge
from simrl.compare.plan import Entrant, Plan
from simrl.compare.real_time import RealTimePolicy
from simrl.compare.run import Advance, check, gather, run, write_table
from simrl.compare.scenarios import Grid, Scenario
from simrl.compare.statistics import Estimate, Resampling
from simrl.compare.summary import Pair, Summary, Winner, summarise
from simrl.compare.table import Table

__all__ = [
    "Advance",
    "Entrant",
    "Estimate",
    "Grid",
    "GridFile",
    "Judge",
    "Pair",
    "Plan",
    "RealTimePolicy",
    "Resampling",
    "Scenario",
    "Summary",
    "Table",
    "Winner",
    "check",
    "find_grids",
    "gather",
    "parse_grids",
    "read_grids",
    "run",
    "shipped",
    "summarise",
    "write_table",
]
