"""Servers for the tests of this folder."""

from tests.servers import moto_s3, postgres_server, postgres_url, rclone_s3

__all__ = ["moto_s3", "postgres_server", "postgres_url", "rclone_s3"]
