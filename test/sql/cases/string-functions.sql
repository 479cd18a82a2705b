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
SELECT id, LOWER(s), INITCAP(s), LEFT(s, 2), RIGHT(s, 2), SUBSTRING(s FROM 2), SUBSTRING(s, -3), SUBSTR(s, 2, 2), LTRIM(s), RTRIM(s, 'f'), TRIM(LEADING 'a' FROM s), BTRIM(s), RPAD(s, 6, 'xy'), LPAD(s, 2, '-'), REPEAT(s, 2), REVERSE(s), LOCATE('l', s), LOCATE('l', s, 4), INSTR(s, 'd'), OVERLAY(s PLACING '##' FROM 2), OVERLAY(s PLACING '#' FROM 1 FOR 3), ASCII(s), CHR(65), STARTSWITH(s, 'h'), ENDSWITH(s, 'f'), CONCAT(s, '-', s), CONCAT_WS(',', s, CAST(NULL AS STRING), 'end'), s || s, CHARACTER_LENGTH(s) FROM t;
