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
SELECT id, CAST(i AS STRING), CAST(d AS INT), CAST(l AS DOUBLE), CAST(m AS DECIMAL(8, 1)), CAST(dt AS STRING), CAST(ts AS STRING), CAST(ts AS DATE), CAST(b AS INT), TRY_CAST(s AS INT), CAST(i AS BIGINT), CAST(d AS STRING) FROM t;
