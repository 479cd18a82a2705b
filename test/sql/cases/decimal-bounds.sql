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
SELECT id, CAST(m AS BIGINT), CAST(-m AS INT), CAST(m AS FLOAT), CAST(m AS DECIMAL(3, 0)), CAST(m AS DECIMAL(2, 0)), m * 0, m - m, m / 3, m * m * m, SUBSTRING(CAST(m AS STRING), 1, 2) FROM t ;
