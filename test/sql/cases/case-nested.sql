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
SELECT id,
  CASE WHEN s IS NULL THEN 'null' WHEN s = '' THEN 'empty' ELSE CASE WHEN CHAR_LENGTH(s) > 6 THEN 'long' ELSE 'short' END END AS kind,
  CASE WHEN i > 0 THEN i WHEN l > 0 THEN l ELSE m END AS widest,
  CASE id WHEN 1 THEN 1.5 WHEN 2 THEN 2 END,
  CASE WHEN b THEN CAST(NULL AS STRING) ELSE 'no' END,
  CASE WHEN i <> 0 THEN 100 / i ELSE 0 END,
  CASE WHEN b AND i > 0 OR id = 3 THEN TRUE ELSE FALSE END,
  COALESCE(CASE WHEN id = 1 THEN s END, 'other'),
  IFNULL(i, -99), NULLIF(s, ''), IF(i > 0, d, 0), CASE s WHEN 'abc def' THEN 'x' WHEN 'héllo' THEN 'hello' ELSE 'z' END
FROM t;
