"""Keep the lake small: merge small files, expire old snapshots, delete files that no snapshot names."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

from jobs.errors import TransientError
from jobs.lake.connection import LAKE, connect, write_lock
from jobs.settings import Settings

# A file younger than this may belong to a writer that has not committed yet.
ORPHAN_AGE = timedelta(days=1)


def compact(settings: Settings, *, now: datetime, keep_days: int) -> dict[str, int]:
    """Compact the lake; rows and the snapshots of the last `keep_days` days stay as they are.

    Returns:
        How many snapshots were expired and how many files were deleted.
    """
    older_than = now - timedelta(days=keep_days)
    with write_lock(settings):
        con = connect(settings, read_only=False)
        try:
            con.execute(f"CALL ducklake_merge_adjacent_files('{LAKE}')")
            expired = con.execute(
                f"CALL ducklake_expire_snapshots('{LAKE}', older_than => ?)", [older_than]
            ).fetchall()
            deleted = con.execute(
                f"CALL ducklake_cleanup_old_files('{LAKE}', older_than => ?)", [older_than]
            ).fetchall()
            orphans = con.execute(
                f"CALL ducklake_delete_orphaned_files('{LAKE}', older_than => ?)",
                [now - ORPHAN_AGE],
            ).fetchall()
        finally:
            con.close()
    return {"snapshots_expired": len(expired), "files_deleted": len(deleted) + len(orphans)}


def forget_history(settings: Settings) -> None:
    """Leave nothing of the lake but what its newest snapshot holds, for a reader and on the disk.

    Run it while nobody else writes (`write_lock(alone=True)`): a file that no snapshot names is then nobody's.

    Raises:
        TransientError: a reader keeps the SQLite catalog from being cleaned.
    """
    con = connect(settings, read_only=False)
    try:
        versions = con.execute(
            f"SELECT list(snapshot_id) FROM ducklake_snapshots('{LAKE}') "
            f"WHERE snapshot_id < (SELECT max(snapshot_id) FROM ducklake_snapshots('{LAKE}'))"
        ).fetchone()
        if versions is not None and versions[0]:
            con.execute(f"CALL ducklake_expire_snapshots('{LAKE}', versions => ?)", [versions[0]])
        con.execute(f"CALL ducklake_cleanup_old_files('{LAKE}', cleanup_all => true)")
        con.execute(f"CALL ducklake_delete_orphaned_files('{LAKE}', cleanup_all => true)")
    finally:
        con.close()
    catalog = settings.lake_dir / "catalog.sqlite"
    if settings.is_shared_catalog or not catalog.is_file():
        return
    # What SQLite deletes stays in the file's free pages until then.
    try:
        with closing(sqlite3.connect(catalog, timeout=settings.lock_timeout_seconds)) as database:
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as err:
        raise TransientError(
            f"cleaning the lake's catalog {catalog}: {err}; let readers end, then run again"
        ) from err
