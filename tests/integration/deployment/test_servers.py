"""The servers that other tests trust are real: they check keys and passwords, keep what they are given, and go away."""

import socket
from dataclasses import replace

import psycopg2
import pytest
from botocore.exceptions import ClientError

from tests.servers import HOST, PostgresServer, S3Server, run_postgres, run_rclone_s3

pytestmark = pytest.mark.integration


def test_make_database_twice_gives_separate_databases(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.make_database(), postgres_server.make_database()
    with psycopg2.connect(first) as con:
        con.cursor().execute("CREATE TABLE mark (x int)")
    con.close()
    with psycopg2.connect(second) as other:
        cursor = other.cursor()
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'mark'")
        assert cursor.fetchone() == (0,)
    other.close()


def test_connect_with_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(replace(postgres_server, password="wrong").url())


@pytest.mark.parametrize("name", ["rclone_s3", "moto_s3"])
def test_make_bucket_keeps_objects(name: str, request: pytest.FixtureRequest) -> None:
    server: S3Server = request.getfixturevalue(name)
    bucket = server.make_bucket()
    server.client().put_object(Bucket=bucket, Key="a/b.txt", Body=b"kept")
    assert server.client().get_object(Bucket=bucket, Key="a/b.txt")["Body"].read() == b"kept"


def test_rclone_s3_with_wrong_secret_is_refused(rclone_s3: S3Server) -> None:
    bucket = rclone_s3.make_bucket()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        replace(rclone_s3, secret_key="wrong").client().put_object(Bucket=bucket, Key="a", Body=b"")


def test_servers_are_gone_after_use() -> None:
    with run_postgres() as postgres, run_rclone_s3() as s3:
        ports = [postgres.port, int(s3.endpoint.rsplit(":", 1)[1])]
        folder = postgres.folder
    assert not folder.exists()
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex((HOST, port)) != 0
