"""The report: one self-contained HTML page a run, readable without a network.

Charts are plain SVG and HTML drawn by our own templates rather than by a chart library: so they take the page's light
and dark colours from CSS, their text stays text, and the same input gives the same bytes.
"""

from jobs.report.data import ReportData, read_report_data
from jobs.report.page import build_report, write_report

__all__ = ["ReportData", "build_report", "read_report_data", "write_report"]
