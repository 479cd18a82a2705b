CREATE TABLE sensor (
  id STRING,
  ts BIGINT,
  temperature DOUBLE,
  rt AS TO_TIMESTAMP(FROM_UNIXTIME(ts)),
  WATERMARK FOR rt AS rt - INTERVAL '1' SECOND
) WITH ('connector' = 'filesystem', 'path' = '${data}/sensor.csv', 'format' = 'csv');
select id, count(*) as n, avg(temperature) as a, min(temperature), max(temperature), sum(ts), max(temperature) - min(temperature) as spread, tumble_start(rt, interval '8' second) as ws, tumble_end(rt, interval '8' second) as we
from sensor where temperature > 7 group by tumble(rt, interval '8' second), id having count(*) >= 1 and max(temperature) < 38;
