CREATE TABLE k (
  id INT, bo BOOLEAN, ti TINYINT, si SMALLINT, it INT, bi BIGINT, fl FLOAT, do DOUBLE, de NUMERIC(30, 5), ch CHAR(5), st STRING,
  da DATE, ti0 TIME, ts TIMESTAMP(3), lz TIMESTAMP(3) WITH LOCAL TIME ZONE
) WITH ('connector' = 'filesystem', 'path' = '${data}/kinds.csv', 'format' = 'csv', 'csv.null-literal' = '');
SELECT * FROM k;
