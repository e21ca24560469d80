"""Servers for the proofs of this folder."""

from tests.servers import postgres_server, rclone_s3

__all__ = ["postgres_server", "rclone_s3"]
