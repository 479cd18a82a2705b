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
SELECT id, LPAD(s, 3, ''), RPAD(s, 3, ''), RPAD(s, -1, 'x'), LPAD(s, 12, 'ab'), RPAD(s, 0, 'x'), CONCAT_WS('', s, 'a'), CONCAT_WS(s, 'a', 'b'), CONCAT('a', 'b', 'c'), SPLIT_INDEX(s, '', 0), SPLIT_INDEX('a,b,c', ',', -1), INSTR(s, ''), INITCAP('hello wORLD'), CHR(300), CHR(-1), ASCII('é'), REVERSE('a😀'), UPPER(CAST(i AS STRING)) FROM t ;
