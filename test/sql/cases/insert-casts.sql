-- What INSERT casts without being asked: every pair of types that Flink takes.
CREATE TABLE t (
  id INT,
  b BOOLEAN,
  i INT,
  l BIGINT,
  d DOUBLE,
  m DECIMAL(10, 3),
  s STRING,
  dt DATE,
  ts TIMESTAMP(3),
  r ROW<x INT, y STRING>
) WITH ('connector' = 'filesystem', 'path' = '${data}/values.json', 'format' = 'json');
CREATE TABLE o (
  id INT,
  c0 BOOLEAN, c1 TINYINT, c2 INT, c3 BIGINT, c4 FLOAT, c5 DOUBLE, c6 DECIMAL(4, 1), c7 INT, c8 BIGINT, c9 DOUBLE,
  c10 DECIMAL(4, 1), c11 BIGINT, c12 DOUBLE, c13 DECIMAL(4, 1), c14 FLOAT, c15 DOUBLE, c16 DECIMAL(4, 1), c17 DOUBLE,
  c18 DECIMAL(4, 1), c19 FLOAT, c20 DOUBLE, c21 DECIMAL(4, 1), c22 CHAR(5), c23 VARCHAR(2), c24 STRING, c25 VARCHAR(2), c26 STRING,
  c27 BYTES, c28 DATE, c29 TIME, c30 DATE, c31 TIME, c32 TIMESTAMP(3), c33 TIMESTAMP_LTZ(3), c34 TIMESTAMP(3),
  c35 TIMESTAMP_LTZ(3)
) WITH ('connector' = 'filesystem', 'path' = '${out}/o', 'format' = 'json');
INSERT INTO o SELECT id,
  b, CAST(id AS TINYINT), CAST(id AS TINYINT), CAST(id AS TINYINT), CAST(id AS TINYINT), CAST(id AS TINYINT), CAST(id AS TINYINT),
  i, i, i, i, l, l, l, CAST(d AS FLOAT), CAST(d AS FLOAT), CAST(d AS FLOAT), d, d, m, m, m, CAST(s AS CHAR(3)), CAST(s AS CHAR(3)),
  CAST(s AS CHAR(3)), s, s, CAST(s AS BYTES), dt, CAST(ts AS TIME), ts, ts, ts, ts, CAST(ts AS TIMESTAMP_LTZ(3)),
  CAST(ts AS TIMESTAMP_LTZ(3))
FROM t;
