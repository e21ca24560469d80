"""Files in a local folder or an S3 bucket, and tables of PostgreSQL, each behind one way to get a local file."""

from jobs.storage.files import StoredFile, list_files
from jobs.storage.opening import OpenedFile, open_binary, open_text
from jobs.storage.postgres import TablePull, describe_url, pull_table
from jobs.storage.text import RemovedLine

__all__ = [
    "OpenedFile",
    "RemovedLine",
    "StoredFile",
    "TablePull",
    "describe_url",
    "list_files",
    "open_binary",
    "open_text",
    "pull_table",
]
