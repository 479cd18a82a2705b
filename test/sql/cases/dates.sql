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
SELECT id, EXTRACT(YEAR FROM dt), EXTRACT(HOUR FROM ts), DATE_FORMAT(ts, 'yyyy/MM/dd HH:mm'), FLOOR(ts TO HOUR), TIMESTAMPDIFF(DAY, ts, TIMESTAMP '2024-03-01 00:00:00'), dt + INTERVAL '1' MONTH, DATE '2024-01-31', ts > TIMESTAMP '1999-12-31 23:59:59' FROM t;
