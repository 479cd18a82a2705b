import { expect, test } from 'vitest'
import { StreamExecutionEnvironment } from '../../api/environment.ts'
import { sqlProgram } from '../index.ts'

/** What the planner says of statements that parse and cannot be: one error each, with its place. */
const tables = `CREATE TABLE t (id STRING, n INT, d DOUBLE, r ROW<x INT>, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen');
CREATE TABLE out1 (id STRING, n INT) WITH ('connector' = 'print');
`

function problem(sql: string): string {
  try {
    sqlProgram(tables + sql, 'test.sql')(StreamExecutionEnvironment.createForProgram({}), [])
  } catch (error) {
    return (error as Error).message
  }
  return 'accepted'
}

const cases: readonly (readonly [sql: string, message: string])[] = [
  ['SELECT idd FROM t', "invalid SQL at 3:8: column 'idd' is not known; did you mean id?"],
  ['SELECT x.id FROM t', "invalid SQL at 3:8: table 'x' is not in FROM; there are t, r"],
  ['SELECT t.idd FROM t', "invalid SQL at 3:10: column 'idd' is not known; did you mean id?"],
  ['SELECT r.y FROM t', "invalid SQL at 3:10: field 'y' of column 'r' is not known; there are x"],
  ['SELECT r FROM t', "ROW column 'r' as a whole (name one of its fields: x) is not supported yet, at 3:8"],
  ['SELECT id FROM tt', "invalid SQL at 3:16: table 'tt' is not known; there are t, out1"],
  ['SELECT UPER(id) FROM t', 'invalid SQL at 3:8: function UPER is not known; did you mean UPPER?'],
  ['SELECT MD5(id) FROM t', 'function MD5 is not supported yet, at 3:8'],
  ['SELECT UPPER(n) FROM t', 'invalid SQL at 3:8: function UPPER does not take (INT), expected UPPER(s)'],
  ['SELECT n + id FROM t', 'invalid SQL at 3:10: function + does not take (INT, STRING), expected a + b'],
  ['SELECT CAST(d AS DATE) FROM t', 'invalid SQL at 3:8: a value of type DOUBLE cannot be cast to DATE'],
  ['SELECT id FROM t WHERE n', 'invalid SQL at 3:24: WHERE takes a BOOLEAN, got INT'],
  ['SELECT id FROM t WHERE COUNT(*) > 1', 'invalid SQL at 3:24: aggregate function COUNT is not allowed in WHERE'],
  ['SELECT id, COUNT(*) FROM t GROUP BY id', 'GROUP BY without a window is not supported yet, at 3:1'],
  ['SELECT COUNT(*) FROM t', 'aggregation without a window is not supported yet, at 3:1'],
  ['SELECT n, COUNT(*) FROM t GROUP BY id', "invalid SQL at 3:8: column 'n' is neither in GROUP BY nor in an aggregate function"],
  ['SELECT DISTINCT id FROM t', 'SELECT DISTINCT is not supported yet, at 3:1'],
  ['SELECT id FROM t ORDER BY id', 'ORDER BY is not supported yet, at 3:27'],
  ['SELECT id FROM t LIMIT 3', 'LIMIT is not supported yet, at 3:24'],
  ['SELECT a.id FROM t AS a JOIN t AS b ON a.id = b.id', 'INNER JOIN is not supported yet, at 3:25'],
  ['SELECT id FROM t UNION SELECT id FROM t', 'UNION is not supported yet, at 3:18'],
  ['SELECT id FROM t UNION ALL SELECT n FROM t', "invalid SQL at 3:18: column 'id' of UNION ALL is of type STRING on one side and INT on the other"],
  ['SELECT id, n FROM t UNION ALL SELECT id FROM t', 'invalid SQL at 3:21: UNION ALL of 2 and 1 columns, expected as many on both sides'],
  ['SELECT SUM(n) OVER (PARTITION BY id ORDER BY ts) FROM t', 'SUM OVER is not supported yet, at 3:8'],
  ['SELECT id FROM t WHERE n IN (SELECT n FROM t)', 'IN with a query is not supported yet, at 3:26'],
  [
    "SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(n), INTERVAL '1' SECOND))",
    "invalid SQL at 3:48: TUMBLE takes a time attribute, but column 'n' is a plain INT; declare WATERMARK FOR it where its table is created",
  ],
  ["SELECT * FROM TABLE(SESSION(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND))", 'window function SESSION is not supported yet, at 3:21'],
  [
    "SELECT id, ts FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND))",
    'TUMBLE without GROUP BY window_start, window_end is not supported yet, at 3:26',
  ],
  [
    "SELECT id, COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY id",
    'GROUP BY over a window table function without window_start and window_end is not supported yet, at 3:1',
  ],
  [
    "SELECT COUNT(*) FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '3' SECOND, INTERVAL '10' SECOND)) GROUP BY window_start, window_end",
    'invalid SQL at 3:28: HOP: the size of a window (10000 ms) is a multiple of its slide (3000 ms)',
  ],
  [
    "SELECT COUNT(DISTINCT n, d) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end",
    'COUNT of several arguments is not supported yet, at 3:8',
  ],
  [
    "SELECT MIN(CAST(id AS BYTES)) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end",
    'aggregate function MIN of BYTES is not supported yet, at 3:8',
  ],
  [
    "SELECT SUM(id) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND)) GROUP BY window_start, window_end",
    'invalid SQL at 3:8: function SUM does not take (STRING), expected SUM(number)',
  ],
  [
    "SELECT TUMBLE_START(ts, INTERVAL '2' SECOND), COUNT(*) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' SECOND)",
    'invalid SQL at 3:8: TUMBLE_START has other arguments than the window in GROUP BY',
  ],
  [
    'INSERT INTO out1 SELECT id FROM t',
    "invalid SQL at 3:13: columns of the query and of table 'out1' do not match: 1 columns, expected 2; query [id: STRING], table [id: STRING, n: INT]",
  ],
  [
    'INSERT INTO out1 SELECT id, d FROM t',
    "invalid SQL at 3:13: columns of the query and of table 'out1' do not match: column 'd' is a DOUBLE, expected INT for 'n'; query [id: STRING, d: DOUBLE], table [id: STRING, n: INT]",
  ],
  ['INSERT INTO out1 (nn) SELECT n FROM t', "invalid SQL at 3:19: column 'nn' of table 'out1' is not known; there are id, n"],
  ['INSERT INTO t SELECT * FROM out1', "invalid SQL at 1:106: connector 'datagen' of table 't' is no sink"],
  ["CREATE TABLE x (a INT) WITH ('connector' = 'filesytem')", "invalid SQL at 3:30: connector 'filesytem' is not known; did you mean filesystem?"],
  ["CREATE TABLE x (a INT) WITH ('connector' = 'jdbc')", "connector 'jdbc' is not supported yet, at 3:30"],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json'); SELECT a FROM x",
    "'scan.startup.mode' = 'group-offsets', which is the default, needs the option 'properties.group.id', at 3:1",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'scan.startup.mode' = 'group-offset')",
    "invalid SQL at 3:127: option 'scan.startup.mode' is 'group-offset', expected group-offsets or earliest-offset or latest-offset or timestamp or specific-offsets",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'scan.startup.mode' = 'timestamp')",
    "option 'scan.startup.timestamp-millis' is required with 'scan.startup.mode' = 'timestamp', at 3:1",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'scan.startup.mode' = 'latest-offset', 'scan.startup.specific-offsets' = 'partition:0,offset:1')",
    "option 'scan.startup.specific-offsets' has no effect with 'scan.startup.mode' = 'latest-offset', at 3:1",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'scan.startup.mode' = 'specific-offsets', 'scan.startup.specific-offsets' = '0:1')",
    "option 'scan.startup.specific-offsets': expected partition:0,offset:42;partition:1,offset:300, got '0:1', at 3:1",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'scan.startup.mode' = 'latest-offset', 'scan.topic-partition-discovery.interval' = '5 parsecs')",
    'duration "5 parsecs" does not parse, expected for example "5 s", "200 ms" or "1 min", at 3:166',
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset', 'properties.fetch.min.byte' = '1')",
    'kafka property fetch.min.byte is not known; did you mean fetch.min.bytes?, at 3:1',
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'sink.delivery-guarantee' = 'exactly-once')",
    "'sink.delivery-guarantee' = 'exactly-once' is not supported yet, at 3:127",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'value.format' = 'json', 'value.json.encode.ignore-null-field' = 'true')",
    "invalid SQL at 3:133: option 'value.json.encode.ignore-null-field' of connector 'kafka' is not known; did you mean value.json.encode.ignore-null-fields?",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'sink.partitionr' = 'fixed')",
    "invalid SQL at 3:127: option 'sink.partitionr' of connector 'kafka' is not known; did you mean sink.partitioner?",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1'); SELECT a FROM x",
    "invalid SQL at 3:1: table 'x': connector 'kafka' requires the option 'format'",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'value.format' = 'csv')",
    "invalid SQL at 3:127: options 'format' and 'value.format' of table 'x' are the same option: give one",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset', 'key.format' = 'raw', 'key.fields' = 'a'); SELECT a FROM x",
    "option 'key.format' of connector 'kafka' where the table is a source is not supported yet, at 3:168",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'kafka', 'topic' = 'a', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'key.format' = 'json'); INSERT INTO x SELECT n FROM t",
    "option 'key.format' needs 'key.fields', at 3:1",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'print', 'sink.parallelism' = '0')",
    "invalid SQL at 3:53: option 'sink.parallelism' is '0', expected a whole number from 1 on",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'filesystem', 'path' = '/x')",
    "invalid SQL at 3:1: table 'x': connector 'filesystem' requires the option 'format'",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'filesystem', 'path' = '/x', 'format' = 'csv', 'sink.rolling-policy.file-size' = '0')",
    "invalid SQL at 3:91: option 'sink.rolling-policy.file-size' is '0', expected more than zero",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'filesystem', 'path' = '/x', 'format' = 'csv', 'sink.rolling-policy.check-interval' = '0 s')",
    "invalid SQL at 3:91: option 'sink.rolling-policy.check-interval' is '0 s', expected more than zero",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'filesystem', 'path' = '/x', 'format' = 'csv', 'csv.ignore-parse-error' = 'true')",
    "invalid SQL at 3:91: option 'csv.ignore-parse-error' of connector 'filesystem' is not known; did you mean csv.ignore-parse-errors?",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'datagen', 'rows-per-second' = 'many')",
    "invalid SQL at 3:55: option 'rows-per-second' is 'many', expected a whole number",
  ],
  ["CREATE TABLE x (a ARRAY<INT>) WITH ('connector' = 'datagen')", "column 'a' of type ARRAY<INT> is not supported yet, at 3:17"],
  [
    "CREATE TABLE x (a TIMESTAMP) WITH ('connector' = 'datagen')",
    "column 'a' of type TIMESTAMP(6) (times have up to 3 fractional digits) is not supported yet, at 3:17",
  ],
  ["CREATE TABLE x (a INT, a INT) WITH ('connector' = 'datagen')", 'at 3:24: the column a stands twice in the table'],
  [
    "CREATE TABLE x (a INT, WATERMARK FOR a AS a) WITH ('connector' = 'datagen')",
    "invalid SQL at 3:24: watermark column 'a' is of type INT, expected TIMESTAMP(p) or TIMESTAMP_LTZ(p) with p up to 3",
  ],
  ["CREATE TABLE t (a INT) WITH ('connector' = 'datagen')", "invalid SQL at 3:14: table 'default_catalog.default_database.t' exists already"],
  ["CREATE FUNCTION f AS 'm#f'", 'CREATE FUNCTION is not supported yet, at 3:1'],
  ['SHOW FUNCTIONS', 'SHOW FUNCTIONS is not supported yet, at 3:1'],
  ['EXPLAIN CHANGELOG_MODE SELECT id FROM t', 'EXPLAIN CHANGELOG_MODE is not supported yet, at 3:1'],
  ['DROP TABLE nope', "invalid SQL at 3:12: table 'default_catalog.default_database.nope' does not exist"],
  ['', 'script test.sql has no INSERT INTO, SELECT or EXPLAIN: there is nothing to run'],
]

/** One of each kind of name, and of each place where a type may not fit. */
const unknown: readonly (readonly [sql: string, message: string])[] = [
  ['SELECT tmep FROM (SELECT d AS temp FROM t)', "3:8: column 'tmep' is not known; did you mean temp?"],
  ['SELECT id FROM default_catalog.default_database.tt1', "3:16: table 'default_catalog.default_database.tt1' is not known"],
  ['SELECT id FROM otherr.t', "3:16: table 'otherr.t' is not known; there are default_catalog.default_database.t"],
  ['INSERT INTO outt SELECT id, n FROM t', "3:13: table 'outt' is not known; did you mean out1?"],
  ['SELECT CHARLENGTH(id) FROM t', '3:8: function CHARLENGTH is not known; did you mean CHAR_LENGTH?'],
  ['SELECT default_catalog.x.f(id) FROM t', '3:8: function DEFAULT_CATALOG.X.F is not known'],
  ['SELECT CONT(*) FROM t', '3:8: function CONT is not known; did you mean COUNT?'],
  ["SELECT * FROM TABLE(TUMBEL(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND))", '3:21: table function TUMBEL is not known; did you mean TUMBLE?'],
  [
    "SELECT * FROM TABLE(TUMBLE(DATA => TABLE t, TIMECOLL => DESCRIPTOR(ts), SIZE => INTERVAL '1' SECOND))",
    '3:45: TUMBLE has no argument TIMECOLL; did you mean TIMECOL?',
  ],
  [
    "SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(tss), INTERVAL '1' SECOND)) GROUP BY window_start, window_end",
    "3:55: column 'tss' is not known",
  ],
  ["SET 'table.local-timezone' = 'UTC'", "3:1: option 'table.local-timezone' is not known; did you mean table.local-time-zone?"],
  ["SET 'table.local-time-zone' = 'Mars/Olympus'", "3:1: time zone 'Mars/Olympus' is unknown"],
  ["SET 'table.exec.codegen' = 'maybe'", '3:1: option table.exec.codegen: expected true or false, got "maybe"'],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'filesystem', 'path' = '/x', 'format' = 'jsn')",
    "3:73: format 'jsn' is not known for connector 'filesystem'; did you mean json?",
  ],
  [
    "CREATE TABLE x (a INT) WITH ('connector' = 'datagen', 'field.a.kind' = 'random')",
    "3:55: option 'field.a.kind' of connector 'datagen' is not known; did you mean fields.a.kind?",
  ],
  ["CREATE TABLE x (a INTT) WITH ('connector' = 'datagen')", '3:19: found the name INTT, expected AS or a type; did you mean INT?'],
  ["SELECT id FROM t /*+ OPTION('a' = 'b') */", 'hint OPTION is not supported yet, at 3:22'],
  ['USE CATALOG other', 'the catalog other does not exist; catalogs: default_catalog, at 3:13'],
  ['SELECT CASE WHEN n THEN 1 END FROM t', '3:8: function CASE does not take (INT, INT NOT NULL, NULL), expected CASE WHEN a THEN x … ELSE y END'],
  ['SELECT n = id FROM t WHERE NOT n', '3:28: function NOT does not take (INT), expected NOT a'],
  ['SELECT d LIKE id FROM t', '3:10: function LIKE does not take (DOUBLE, STRING), expected a LIKE pattern'],
  ['SELECT ts + 1 FROM t', '3:11: function + does not take (TIMESTAMP(3), INT NOT NULL), expected a + b'],
  ['SELECT EXTRACT(HOUR FROM id) FROM t', '3:8: function EXTRACT does not take (CHAR(4) NOT NULL, STRING), expected EXTRACT(unit FROM time)'],
  ['SELECT NULL AS nothing FROM t', "3:1: column 'nothing' is a NULL without a type, expected CAST(NULL AS type)"],
  ['TABLE t', "ROW column 'r' as a whole is not supported yet, at 3:1"],
  ['SELECT id, n FROM t UNION ALL TABLE t', '3:21: UNION ALL of 2 and 5 columns, expected as many on both sides'],
]

test('unknown names of every kind and types that do not fit: each with its place, what was found, and the nearest name', () => {
  expect(unknown.map(([sql]) => [sql, problem(sql)])).toEqual(unknown.map(([sql, message]) => [sql, expect.stringContaining(message)]))
})

test.each(cases)('%s', (sql, message) => {
  expect(problem(sql)).toBe(message)
})
