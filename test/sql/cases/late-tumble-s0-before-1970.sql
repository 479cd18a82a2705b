CREATE TABLE old_ (k STRING, ts TIMESTAMP(3), v INT, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND) WITH ('connector' = 'filesystem', 'path' = '${data}/old.csv', 'format' = 'csv');
SELECT TUMBLE_START(ts, INTERVAL '10' SECOND), TUMBLE_ROWTIME(ts, INTERVAL '10' SECOND), SUM(v) FROM old_ GROUP BY TUMBLE(ts, INTERVAL '10' SECOND);
