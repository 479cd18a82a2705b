CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
SELECT id AS k, COUNT(*) c FROM sensor AS s WHERE s.temperature IS NOT NULL GROUP BY TUMBLE(s.rt, INTERVAL '20' SECOND), s.id;
