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
CREATE VIEW v (a, c) AS SELECT id * 10, s FROM t WHERE id < 4;
SELECT x.a + 1 AS a1, x.c FROM (SELECT a, c FROM v WHERE a > 10) AS x;
