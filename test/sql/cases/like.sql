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
SELECT id, s LIKE 'a%', s LIKE '_b%', s NOT LIKE '%d%', s LIKE '%"%', s LIKE '', s LIKE '%', 'a%c' LIKE 'a!%c' ESCAPE '!', 'abc' LIKE 'a!%c' ESCAPE '!', 'a_c' LIKE 'a#_c' ESCAPE '#', 'A' LIKE 'a', s LIKE s FROM t;
