CREATE TABLE t (
  id INT,
  b BOOLEAN,
  i INT,
  l BIGINT,
  d DOUBLE,
  m DECIMAL(10, 3),
  s STRING,
  dt DATE,
  ts TIMESTAMP(3),
  r ROW<x INT, y STRING>
) WITH ('connector' = 'filesystem', 'path' = '${data}/values.json', 'format' = 'json');
SELECT id, ABS(d), SIGN(i), SIGN(d), SQRT(ABS(d)), EXP(0), LN(1), LOG10(1000), LOG2(8), LOG(2, 8), POWER(i, 2), ROUND(d), ROUND(d, 1), ROUND(2.5), ROUND(-2.5), FLOOR(d), CEIL(d), TRUNCATE(1.999, 1), TRUNCATE(-1.999), MOD(i, 3), i % 3, MOD(-7, 3), SIN(0), COS(0), ATAN2(0, 1), DEGREES(PI()), RADIANS(180), GREATEST(i, id, 3), LEAST(i, id, 3), GREATEST(1, CAST(NULL AS INT)) FROM t;
