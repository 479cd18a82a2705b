-- A comment before anything
CREATE TABLE `my table` ( /* inside; with a semicolon */
  `id` INT, -- behind a column
  `select` AS id + 1,
  `a b` AS s, s STRING, `日本` AS id * 10, `ba``ck` AS 'tick'
) WITH ('connector' = 'filesystem', 'path' = '${data}/values.json', 'format' = 'json');
/* two
   lines */
SELECT m.`select`, `a b` AS `From`, m.`日本`, `ba``ck`, 'it''s -- no comment', '/* nor this */' FROM `my table` AS m WHERE m.`select` > 2 -- the end
;
