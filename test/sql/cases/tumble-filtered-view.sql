CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
CREATE VIEW hot AS SELECT id, temperature * 9 / 5 + 32 AS fahrenheit, rt FROM sensor WHERE temperature > 20;
CREATE VIEW hot1 AS SELECT * FROM hot WHERE id = 'sensor_1' OR id LIKE '%0';
SELECT window_start, window_end, id, COUNT(*) AS n, MAX(fahrenheit) AS top FROM TABLE(TUMBLE(TABLE hot1, DESCRIPTOR(rt), INTERVAL '5' SECOND)) GROUP BY window_start, window_end, id;
