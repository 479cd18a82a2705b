CREATE TABLE old_ (k STRING, ts TIMESTAMP(3), v INT, WATERMARK FOR ts AS ts - INTERVAL '4' SECOND) WITH ('connector' = 'filesystem', 'path' = '${data}/old.csv', 'format' = 'csv');
SELECT window_start, window_end, SUM(v) FROM TABLE(CUMULATE(TABLE old_, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '20' SECOND)) GROUP BY window_start, window_end;
