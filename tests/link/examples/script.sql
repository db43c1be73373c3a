.headers on
.mode column
PRAGMA page_size = 4096;
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, born INT CHECK(born > 1800), note BLOB);
CREATE INDEX person_name ON person(name);
CREATE TABLE visit(person INT REFERENCES person(id) ON DELETE CASCADE, day TEXT, PRIMARY KEY(person, day)) WITHOUT ROWID;
PRAGMA foreign_keys = ON;
INSERT INTO person(name, born, note) VALUES ('Ada', 1815, x'00ff10'), ('Grace', 1906, NULL), ('Edsger', 1930, 'goto'), ('Barbara', 1939, zeroblob(5));
INSERT INTO visit SELECT id, date('2024-02-28', '+' || value || ' days') FROM person, (SELECT 0 AS value UNION SELECT 1 UNION SELECT 2);
SELECT name, born, hex(note), typeof(note) FROM person ORDER BY name;
INSERT INTO person(name, born) VALUES ('too old', 1700);
INSERT INTO visit VALUES (99, '2024-01-01');
SELECT * FROM person WHERE name = 'ada';
DELETE FROM person WHERE name = 'Grace';
SELECT person, count(*), min(day), max(day) FROM visit GROUP BY person;
.mode list
WITH RECURSIVE fib(n, a, b) AS (SELECT 1, 0, 1 UNION ALL SELECT n + 1, b, a + b FROM fib WHERE n < 90)
    SELECT n, a FROM fib WHERE n % 15 = 0;
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20000)
    INSERT INTO person(name, born, note) SELECT printf('p%06d', (x * 7919) % 20000), 1900 + x % 100, randomblob(x % 300) FROM c;
SELECT count(*), sum(born), min(name), max(name), sum(length(note)) FROM person;
EXPLAIN QUERY PLAN SELECT * FROM person WHERE name BETWEEN 'p000100' AND 'p000110';
SELECT name, rank() OVER (ORDER BY born), sum(id) OVER (PARTITION BY born % 3 ORDER BY id ROWS 2 PRECEDING)
    FROM person WHERE id < 12 ORDER BY id;
SELECT json_extract('{"a":[1,2,{"b":"c"}]}', '$.a[2].b'), json_group_array(id) FROM person WHERE id < 6;
SELECT round(sqrt(2), 9), round(sin(1), 9), 7 / 2, 7.0 / 2, 9223372036854775807 + 1, -5 % 3, 1e308 * 10, 'a' || 1;
SELECT strftime('%Y-%m-%d %H:%M:%S', 1700000000, 'unixepoch'), julianday('2000-01-01'), date('2024-01-31', '+1 month');
BEGIN;
UPDATE person SET born = born + 1;
SAVEPOINT s;
DELETE FROM person WHERE id % 2;
ROLLBACK TO s;
COMMIT;
SELECT count(*), sum(born) FROM person;
CREATE VIRTUAL TABLE doc USING fts5(title, body);
INSERT INTO doc VALUES ('unikernel', 'one program and just the kernel it needs'), ('container', 'many programs share one kernel');
SELECT title, snippet(doc, 1, '[', ']', '..', 4) FROM doc WHERE doc MATCH 'kernel NOT just';
CREATE VIRTUAL TABLE box USING rtree(id, x0, x1, y0, y1);
INSERT INTO box SELECT id, id % 100, id % 100 + 2, id / 100, id / 100 + 1 FROM person WHERE id <= 5000;
SELECT count(*), min(id) FROM box WHERE x1 >= 10 AND x0 <= 12 AND y0 <= 3;
CREATE TRIGGER t AFTER UPDATE OF born ON person WHEN new.id = 3 BEGIN UPDATE person SET note = 'seen' WHERE id = new.id; END;
UPDATE person SET born = 1931 WHERE id = 3 RETURNING id, born;
SELECT note FROM person WHERE id = 3;
ALTER TABLE person ADD COLUMN extra DEFAULT 'x';
SELECT extra, count(*) FROM person GROUP BY 1;
DROP INDEX person_name;
DELETE FROM person WHERE id > 1000;
VACUUM;
PRAGMA page_count;
PRAGMA integrity_check;
PRAGMA foreign_key_check;
PRAGMA journal_mode = WAL;
INSERT INTO visit VALUES (1, '2030-01-01');
PRAGMA wal_checkpoint(TRUNCATE);
.backup main /tmp/lith-example-copy.db
ATTACH '/tmp/lith-example-copy.db' AS copy;
SELECT count(*), (SELECT count(*) FROM copy.person), (SELECT count(*) FROM copy.visit) FROM person;
PRAGMA copy.integrity_check;
DETACH copy;
.tables
.schema visit
SELECT nonsense;
SELECT quote(x'0a'), changes(), total_changes() > 20000, sqlite_version();
