"""Last step of `airflow-init`: the web user's password, the lake's bucket and its tables. Repeating it changes nothing."""

import json
import logging
import os
import sys
from pathlib import Path
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from jobs.errors import ConfigError, PersonalakeError
from jobs.lake import create_tables, transact
from jobs.settings import Settings, load_settings

logger = logging.getLogger("prepare_services")


def write_password(file: Path, user: str, password: str) -> None:
    """Write the password file of Airflow's simple auth manager, readable by its owner only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps({user: password}) + "\n", encoding="utf-8")


def make_bucket(lake_data: str) -> bool:
    """Make the bucket of an `s3://bucket/prefix/` address where it is missing, and say whether it was.

    Raises:
        ConfigError: the service refuses the key pair or the bucket.
    """
    bucket = urlparse(lake_data).netloc
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as err:
        if err.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise ConfigError(
                f"looking for the bucket {bucket}: {err}; check AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"
            ) from err
        client.create_bucket(Bucket=bucket)
        return True
    return False


def check_data_folder(folder: Path) -> None:
    """Refuse to start where exports could not be written.

    Raises:
        ConfigError: the folder is not writable by this user.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"preparing {folder}: user id {os.getuid()} may not write there; set AIRFLOW_UID in .env "
            "to the owner of ./data (id -u)"
        )


def main(settings: Settings) -> None:
    """Prepare whatever the services need."""
    check_data_folder(settings.data_dir)
    write_password(
        Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]),
        "admin",
        os.environ["AIRFLOW_ADMIN_PASSWORD"],
    )
    if settings.lake_data:
        is_new = make_bucket(settings.lake_data)
        logger.info("%s: bucket %s", settings.lake_data, "made" if is_new else "found")
    transact(settings, create_tables, message="prepare_services")
    logger.info("the lake's tables are ready")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        main(load_settings())
    except PersonalakeError as err:
        logger.error("%s", err)
        sys.exit(1)
