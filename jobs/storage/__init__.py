"""Files in a local folder or an S3 bucket, behind one listing and one way to get a local copy."""

from jobs.storage.files import StoredFile, list_files, local_copy

__all__ = ["StoredFile", "list_files", "local_copy"]
