CREATE TABLE k (
  id INT NOT NULL, bo BOOLEAN, ti TINYINT, si SMALLINT, it INTEGER, bi BIGINT, fl FLOAT, do DOUBLE PRECISION, de DECIMAL(38, 18),
  ch CHAR(5), vc VARCHAR(10), st STRING, `by` BYTES, da DATE, ti0 TIME, ts TIMESTAMP(3), lz TIMESTAMP_LTZ(3),
  ro ROW<a ROW<b BIGINT, c STRING>, d DATE>
) WITH ('connector' = 'filesystem', 'path' = '${data}/kinds.json', 'format' = 'json');
SELECT id, bo, ti, si, it, bi, fl, do, de, ch, vc, st, `by`, da, ti0, ts, lz, k.ro.a.b, ro.a.c, ro.d FROM k;
