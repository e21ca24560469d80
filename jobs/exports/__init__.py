"""What leaves the lake: segments and recommendations as files, with a manifest that proves them."""

from jobs.exports.manifest import ExportFile, Manifest, verify_exports
from jobs.exports.writing import ExportResult, write_exports

__all__ = ["ExportFile", "ExportResult", "Manifest", "verify_exports", "write_exports"]
