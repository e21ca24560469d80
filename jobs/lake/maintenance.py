"""Keep the lake small: merge small files, expire old snapshots, delete files that no snapshot names."""

from datetime import datetime, timedelta

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
