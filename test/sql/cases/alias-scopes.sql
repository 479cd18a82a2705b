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
SELECT a.*, a.id + b AS `sum`, b AS again FROM (SELECT id, i AS b FROM t AS inner_t WHERE inner_t.id > 1) AS a (id, b) WHERE a.b IS NOT NULL;
