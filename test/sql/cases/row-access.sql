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
CREATE VIEW flat AS SELECT id, r.x AS x, r.y FROM t WHERE r.x IS NOT NULL;
SELECT f.id, f.x * 2, UPPER(y), t0 FROM (SELECT *, x + 1 AS t0 FROM flat) AS f WHERE x >= 1;
