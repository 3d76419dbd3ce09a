"""One HTML page with everything about a run: pictures, figures, methods, who made what. Opens from disk."""

from napari_wsss.report.contents import MethodUsed, Report, ReportImage
from napari_wsss.report.page import write_report

__all__ = ["MethodUsed", "Report", "ReportImage", "write_report"]
