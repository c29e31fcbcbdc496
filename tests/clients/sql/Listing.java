import java.sql.*;
import java.util.*;

/** Reads the SQL endpoint through pgjdbc: connect, list, describe, query, and be refused. */
public final class Listing {
    private static int failures = 0;

    interface Check {
        String run() throws Exception;
    }

    static void check(String name, Check check) {
        String problem;
        try {
            problem = check.run();
        } catch (Exception error) {
            problem = error.toString();
        }
        failures += problem == null ? 0 : 1;
        System.out.println((problem == null ? "pass  " : "FAIL  ") + "pgjdbc: " + name + (problem == null ? "" : ": " + problem));
    }

    static String same(Object found, Object wanted) {
        return wanted.equals(found) ? null : "found " + found + ", expected " + wanted;
    }

    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> values = new ArrayList<>();
        while (rows.next()) values.add(rows.getString(name));
        return values;
    }

    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://" + arguments[0] + "/sprint_reports";
        try (Connection connection = DriverManager.getConnection(url, "analyst", "")) {
            DatabaseMetaData data = connection.getMetaData();
            check("the server names itself PostgreSQL", () -> same(data.getDatabaseProductName(), "PostgreSQL"));
            check("schemas are listed", () ->
                column(data.getSchemas(), "TABLE_SCHEM").contains("marts") ? null : "no schema marts");
            check("tables are listed", () ->
                column(data.getTables(null, "marts", "%", new String[] {"TABLE"}), "TABLE_NAME")
                    .containsAll(List.of("sprints", "sprint_scope", "velocity")) ? null : "tables are missing");
            check("columns are described", () -> {
                List<String> found = column(data.getColumns(null, "marts", "velocity", "%"), "COLUMN_NAME");
                return found.containsAll(List.of("board_id", "mean_3", "stddev_6")) ? null : "found " + found;
            });
            check("a text query answers", () -> {
                try (Statement statement = connection.createStatement();
                        ResultSet rows = statement.executeQuery("select count(*) as n, max(ended_at) as at from velocity")) {
                    rows.next();
                    if (rows.getTimestamp("at") == null) return "no instant";
                    return rows.getLong("n") > 10 ? null : "only " + rows.getLong("n") + " rows";
                }
            });
            // After five executions the driver changes to named statements and binary values.
            check("a prepared query answers the same ten times", () -> {
                String sql = "select sprint_id, completed_points, ended_at from velocity where board_id = ? order by ordinal limit 1";
                Set<String> answers = new HashSet<>();
                try (PreparedStatement statement = connection.prepareStatement(sql)) {
                    for (int time = 0; time < 10; time++) {
                        statement.setLong(1, 1);
                        try (ResultSet rows = statement.executeQuery()) {
                            rows.next();
                            answers.add(rows.getLong(1) + " " + rows.getDouble(2) + " " + rows.getTimestamp(3).getTime());
                        }
                    }
                }
                return same(answers.size(), 1);
            });
            check("rows come in parts", () -> {
                connection.setAutoCommit(false);
                int count = 0;
                try (Statement statement = connection.createStatement()) {
                    statement.setFetchSize(7);
                    try (ResultSet rows = statement.executeQuery("select * from sprint_scope limit 100")) {
                        while (rows.next()) count++;
                    }
                }
                connection.commit();
                connection.setAutoCommit(true);
                return same(count, 100);
            });
            check("a writing statement is refused", () -> {
                try (Statement statement = connection.createStatement()) {
                    statement.execute("drop table marts.velocity");
                    return "it was accepted";
                } catch (SQLException error) {
                    return same(error.getSQLState(), "25006");
                }
            });
            check("a query can be cancelled", () -> {
                try (Statement statement = connection.createStatement()) {
                    new Thread(() -> {
                        try {
                            Thread.sleep(500);
                            statement.cancel();
                        } catch (Exception ignored) {
                            // The query then runs on and the check fails.
                        }
                    }).start();
                    statement.executeQuery("select count(*) from generate_series(1, 1000000) a cross join generate_series(1, 1000000) b");
                    return "it ended by itself";
                } catch (SQLException error) {
                    return same(error.getSQLState(), "57014");
                }
            });
        }
        System.exit(failures == 0 ? 0 : 1);
    }
}
