CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
CREATE VIEW empty_ AS SELECT * FROM sensor WHERE temperature > 1000;
SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE empty_, DESCRIPTOR(rt), INTERVAL '10' SECOND)) GROUP BY window_start, window_end;
