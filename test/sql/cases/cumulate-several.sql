CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT window_start, window_end, COUNT(*), SUM(temperature), AVG(temperature), MIN(id), MAX(temperature) FROM TABLE(CUMULATE(DATA => TABLE sensor, TIMECOL => DESCRIPTOR(rt), STEP => INTERVAL '3' SECOND, SIZE => INTERVAL '15' SECOND)) GROUP BY window_start, window_end;
