CREATE TABLE c (`Id` INT, id INT, `ID` INT, `a b` INT, `a.b` INT) WITH ('connector' = 'filesystem', 'path' = '${data}/case.json', 'format' = 'json', 'json.fail-on-missing-field' = 'false');
SELECT * FROM c;
