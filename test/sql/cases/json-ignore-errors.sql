CREATE TABLE b (id INT, name STRING, `at` TIMESTAMP_LTZ(3), v DOUBLE) WITH (
  'connector' = 'filesystem', 'path' = '${data}/broken.json', 'format' = 'json', 'json.ignore-parse-errors' = 'true',
  'json.timestamp-format.standard' = 'ISO-8601'
);
SELECT * FROM b;
