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
SELECT id, DATE_FORMAT(ts, 'yyyy'), DATE_FORMAT(ts, 'MM/dd HH'), DATE_FORMAT('2024-02-29 01:02:03', 'HH'), DATE_FORMAT(ts, 'a h:mm'), DATE_FORMAT(ts, 'D'), DATE_FORMAT(ts, 'EEEE'), DATE_FORMAT(ts, '''at'' HH''h''') FROM t ;
