CREATE TABLE t (
  id STRING,
  ts BIGINT,
  n DECIMAL(38, 0),
  w DECIMAL(38, 10),
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/wide.csv', 'format' = 'csv', 'csv.null-literal' = '');
SELECT id, SUM(n), AVG(n), SUM(w), AVG(w), COUNT(n) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(rt), INTERVAL '10' SECOND)) GROUP BY id, window_start, window_end;
