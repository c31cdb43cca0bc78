"""One HTML page about a run: curves, win rates with intervals, the league, replays, config."""

from simrl.runs.report.page import REPORT_FILE, report_page, write_report
from simrl.runs.report.record import RunRecord, read_run

__all__ = ["REPORT_FILE", "RunRecord", "read_run", "report_page", "write_report"]
