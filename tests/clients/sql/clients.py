"""Reads the SQL endpoint of a demo with psql, psycopg 2, psycopg 3 and pgjdbc, all unmodified.

Usage: clients.py PATH_OF_SPRINT_REPORTS LISTING_JAVA
"""

import datetime
import os
import re
import subprocess
import sys
import tempfile

import psycopg
import psycopg2

failures = 0
JDBC = "/usr/share/java/postgresql.jar"


def check(name, action):
    global failures
    try:
        problem = action()
    except Exception as error:  # a client's own exception is the finding
        problem = f"{type(error).__name__}: {str(error)[:300]}"
    failures += problem is not None
    print(f"{'FAIL' if problem else 'pass'}  {name}" + (f": {problem}" if problem else ""), flush=True)


def same(found, wanted):
    return None if found == wanted else f"found {found!r}, expected {wanted!r}"


class Demo:
    """A running demo in a folder of its own."""

    def __init__(self, program):
        self.folder = tempfile.TemporaryDirectory()
        command = [program, "demo", "--port-http", "0", "--port-postgres", "0"]
        self.process = subprocess.Popen(
            command, cwd=self.folder.name, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for line in self.process.stdout:
            found = re.search(r"postgres://(127\.0\.0\.1):(\d+)/sprint_reports", line)
            if found:
                self.host, self.port = found.groups()
                return
        raise RuntimeError("the demo ended without an address")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def psql(self, *commands):
        arguments = ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
        for command in commands:
            arguments += ["-c", command]
        environment = {
            **os.environ,
            "PGHOST": self.host,
            "PGPORT": self.port,
            "PGDATABASE": "sprint_reports",
            "PGUSER": "analyst",
        }
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=60)
        return done.returncode, done.stdout, done.stderr


def psql(demo):
    def lists(command, *wanted):
        code, out, error = demo.psql(command)
        missing = [one for one in wanted if one not in out]
        return error if code else (f"{missing} not in {out!r}" if missing else None)

    check("psql: \\l lists the database", lambda: lists("\\l", "sprint_reports"))
    check("psql: \\dn lists the schemas", lambda: lists("\\dn", "marts", "jira", "system"))
    check("psql: \\dt lists the tables", lambda: lists("\\dt", "velocity", "sprint_scope"))
    check("psql: \\dv lists the views", lambda: lists("\\dv", "stg_jira__issues"))
    check(
        "psql: \\d describes a table",
        lambda: lists("\\d marts.velocity", "mean_3|double precision", "ended_at|timestamp with time zone"),
    )
    check("psql: a query answers", lambda: lists("select 40 + 2", "42"))
    check(
        "psql: several statements in one text are answered in order",
        lambda: same(demo.psql("begin; select 1; select 2; commit")[1].split(), ["BEGIN", "1", "2", "COMMIT"]),
    )

    def refused(sqlstate, *commands):
        code, _, error = demo.psql(*commands)
        return None if code and f" {sqlstate}:" in error else f"exit {code}, {error!r}"

    check("psql: writing is refused", lambda: refused("25006", "drop table velocity"))
    check("psql: a missing table is 42P01", lambda: refused("42P01", "select * from nothing"))
    check(
        "psql: statement_timeout covers the run, not only the plan",
        lambda: refused(
            "57014",
            "set statement_timeout = '300ms'",
            "select count(*) from generate_series(1, 1000000) a cross join generate_series(1, 1000000) b",
        ),
    )
    check(
        "psql: as_of reads an older release and is checked",
        lambda: refused("22023", "set sprint_reports.as_of = 'r99'")
        or lists("set sprint_reports.as_of = 'r1'; select count(*) > 0 from velocity", "t"),
    )


def psycopg_2(demo):
    connection = psycopg2.connect(host=demo.host, port=demo.port, dbname="sprint_reports", user="analyst")
    cursor = connection.cursor()

    def query():
        cursor.execute("select sprint_id, ended_at, mean_3 from velocity where board_id = %s order by ordinal", (1,))
        first = cursor.fetchone()
        kinds = [type(value) for value in first]
        return same(kinds, [int, datetime.datetime, float])

    def refused():
        try:
            cursor.execute("create table x (a int)")
            return "it was accepted"
        except psycopg2.Error as error:
            connection.rollback()
            return same(error.pgcode, "25006")

    def lists():
        cursor.execute(
            "select table_name from information_schema.tables where table_schema = 'marts' and table_name like 'sprint%%'"
        )
        names = {row[0] for row in cursor.fetchall()}
        return None if "sprint_metrics" in names else f"found {names}"

    check("psycopg2: a query with a parameter answers", query)
    check("psycopg2: tables are listed", lists)
    check("psycopg2: writing is refused and the connection goes on", lambda: refused() or query())
    connection.close()


def psycopg_3(demo):
    address = f"host={demo.host} port={demo.port} dbname=sprint_reports user=analyst"
    with psycopg.connect(address) as connection:

        def query(binary):
            cursor = connection.cursor(binary=binary)
            day = datetime.date(2020, 1, 1)
            cursor.execute(
                "select day, remaining_points, event from sprint_burndown_daily where day > %s and sprint_id = %s order by day",
                (day, 1),
            )
            first = cursor.fetchone()
            return same([type(value) for value in first[:2]], [datetime.date, float])

        def prepared():
            sql = "select sprint_name, project_keys from sprints where sprint_id = %s"
            found = {str(connection.execute(sql, (1,), prepare=True).fetchone()) for _ in range(8)}
            return same(len(found), 1)

        check("psycopg3: a query with parameters answers, as text", lambda: query(False))
        check("psycopg3: a query with parameters answers, binary", lambda: query(True))
        check("psycopg3: a prepared query answers the same eight times", prepared)

        def snapshot():
            connection.commit()
            with connection.transaction():
                first = connection.execute("select count(*) from sprint_scope").fetchone()
                second = connection.execute("select count(*) from sprint_scope").fetchone()
            return same(first, second)

        check("psycopg3: a transaction is a snapshot", snapshot)


def main():
    with Demo(sys.argv[1]) as demo:
        psql(demo)
        psycopg_2(demo)
        psycopg_3(demo)
        java = ["java", "-cp", JDBC, sys.argv[2], f"{demo.host}:{demo.port}"]
        code = subprocess.run(java, timeout=120).returncode
    sys.exit(1 if failures or code else 0)


main()
