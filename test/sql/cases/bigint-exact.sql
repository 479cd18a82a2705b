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
SELECT id, l, l + 1, l - 1, l * 1, l / 2, l % 10, -l, CAST(l AS STRING), CAST(l AS DECIMAL(20, 0)), CAST('9007199254740993' AS BIGINT), l = 9007199254740993, l > 9007199254740992, ABS(l), 9007199254740993 + id, CAST(l AS INT) FROM t;
