CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT id, COUNT(*) AS n, window_end FROM TABLE(TUMBLE(DATA => TABLE sensor, TIMECOL => DESCRIPTOR(rt), SIZE => INTERVAL '8' SECOND, `OFFSET` => INTERVAL '3' SECOND)) WHERE temperature > 10 GROUP BY id, window_start, window_end HAVING COUNT(*) > 1 OR id = 'sensor_6';
