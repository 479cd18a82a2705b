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
SELECT id, m + 0.001, m - 1, m * m, m / 7, m / CAST(3 AS DECIMAL(4, 1)), CAST(m AS DECIMAL(5, 1)), CAST(m AS DECIMAL(38, 18)), ROUND(m, 1), ROUND(m, -1), FLOOR(m), CEIL(m), ABS(m), -m, SIGN(m), m = 12.345, m > -3.5, TRUNCATE(m, 2), MOD(m, 2), CAST(m AS DOUBLE), CAST(m AS INT), CAST(m AS STRING), 0.1 + 0.2, CAST('12345678901234567890.5' AS DECIMAL(30, 5)) * 2 FROM t;
