CREATE TABLE old_ (k STRING, ts TIMESTAMP(3), v INT, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND) WITH ('connector' = 'filesystem', 'path' = '${data}/old.csv', 'format' = 'csv');
SELECT window_start, window_end, k, SUM(v) FROM TABLE(HOP(TABLE old_, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k;
