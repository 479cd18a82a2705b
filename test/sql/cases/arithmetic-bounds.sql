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
SELECT id, i + i + i, i * i, l + l, l * 2, i / NULLIF(id - 4, 0), MOD(i, NULLIF(id, 2)), i % -3, d / 0, -d / 0, 0 / NULLIF(d, 0) FROM t ;
