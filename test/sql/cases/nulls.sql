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
SELECT id, i IS NULL, b IS TRUE, b IS NOT FALSE, COALESCE(i, -1), NULLIF(i, 0), b AND i > 0, b OR i IS NULL, s || 'x', i + l FROM t;
