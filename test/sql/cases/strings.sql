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
SELECT id, UPPER(s), CHAR_LENGTH(s), SUBSTRING(s, 2, 3), s LIKE '%e%', REPLACE(s, 'l', 'L'), TRIM(BOTH 'a' FROM s), POSITION('l' IN s), CONCAT_WS('-', s, 'z'), SPLIT_INDEX(s, ' ', 1), LPAD(s, 8, '*') FROM t;
