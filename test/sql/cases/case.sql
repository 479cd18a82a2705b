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
SELECT id, CASE WHEN i > 0 THEN 'pos' WHEN i < 0 THEN 'negative' ELSE 'none' END, CASE i WHEN 7 THEN 1 WHEN 0 THEN 2 END, IF(b, 'y', 'n') FROM t;
