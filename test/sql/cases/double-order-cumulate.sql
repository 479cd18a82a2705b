CREATE TABLE t (
  id STRING,
  ts BIGINT,
  d DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/order.csv', 'format' = 'csv');
SELECT id, window_start, window_end, SUM(d), AVG(d) FROM TABLE(CUMULATE(TABLE t, DESCRIPTOR(rt), INTERVAL '2' SECOND, INTERVAL '6' SECOND)) GROUP BY id, window_start, window_end;
