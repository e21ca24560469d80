"""What a layout's SQL makes of a file, without a lake."""

import duckdb

from jobs.sources.plan import read_header
from jobs.sources.statement import Limits, build_part, build_read


def read_rows(layout, path, columns, *more_paths, part=0):
    """Values of some columns of one part, row by row in the order of the files."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    header = read_header(layout, path, path.name)
    con.execute(
        f"CREATE TEMP TABLE records AS {build_read(layout, header, [str(path), *map(str, more_paths)])}"
    )
    relation = "(SELECT *, rowid + 1 AS row_number FROM records)"
    statement = build_part(layout, layout.parts[part], "shop", header, relation, Limits())
    con.execute(f"CREATE TEMP TABLE found AS {statement.text}", statement.values)
    return con.execute(f"SELECT {columns} FROM found ORDER BY row_number").fetchall()
