"""One HTML page about a comparison: figures, winners, profiles, heat maps, videos."""

from simrl.runs.comparison.page import REPORT_FILE, comparison_page, write_report

__all__ = ["REPORT_FILE", "comparison_page", "write_report"]
