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
SELECT id, DATE_FORMAT(ts, 'yyyy-MM-dd HH:mm:ss.SSS'), DATE_FORMAT(ts, 'EEE, d MMM yyyy'), DATE_FORMAT(ts, 'yyyyMMdd'), TO_DATE('2024-02-29'), TO_DATE('29/02/2024', 'dd/MM/yyyy'), TO_DATE('x'), TO_TIMESTAMP('2024-02-29 01:02:03'), TO_TIMESTAMP('20240229 010203', 'yyyyMMdd HHmmss'), TO_TIMESTAMP('nothing'), FROM_UNIXTIME(0), FROM_UNIXTIME(1547718199, 'yyyy/MM/dd'), UNIX_TIMESTAMP('1970-01-02 00:00:00'), TO_TIMESTAMP_LTZ(1500, 3), TO_TIMESTAMP_LTZ(1500, 0), CONVERT_TZ('1970-01-01 00:00:00', 'UTC', 'America/Los_Angeles') FROM t;
