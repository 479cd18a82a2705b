CREATE TABLE b (id INT, name STRING, v DOUBLE) WITH (
  'connector' = 'filesystem', 'path' = '${data}/broken.csv', 'format' = 'csv', 'csv.ignore-parse-errors' = 'true'
);
SELECT * FROM b;
