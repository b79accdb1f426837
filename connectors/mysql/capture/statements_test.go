package capture_test

import (
	"database/sql"
	"strings"
)

// insert returns a statement that adds rows, or does something else to those in the way.
func (g *generator) insert(table string) string {
	columns := g.some(table)
	if len(columns) == 0 {
		return "INSERT INTO " + g.called(table) + " () VALUES ()"
	}
	rows := []string{g.row(columns)}
	for g.often(40) {
		rows = append(rows, g.row(columns))
	}
	into := g.called(table) + " (" + list(columns) + ") "
	values := "VALUES " + strings.Join(rows, ", ")
	if g.often(15) {
		values = "SELECT " + strings.Trim(g.row(columns), "()") + " FROM " + g.called(g.table()) + " LIMIT 2"
	}
	if g.often(8) && g.maria {
		file := "../" + g.fresh("f") + ".txt"
		return "SELECT " + strings.Trim(g.row(columns), "()") + " INTO OUTFILE '" + file + "'; LOAD DATA INFILE '" + file + "' " + pick(g.r, "REPLACE", "IGNORE", "") + " INTO TABLE " + into
	}
	switch g.r.IntN(6) {
	case 3:
		if sets := g.sets(table, "", false); sets != "" && g.often(50) {
			return pick(g.r, "INSERT INTO ", "REPLACE ", "INSERT IGNORE ") + g.called(table) + " SET " + sets
		}
		return pick(g.r, "REPLACE LOW_PRIORITY ", "INSERT HIGH_PRIORITY INTO ") + into + values
	case 0:
		return "REPLACE " + into + values
	case 1:
		return "INSERT IGNORE INTO " + into + values
	case 2:
		if sets := g.sets(table, "", g.often(20)); sets != "" {
			return "INSERT INTO " + into + values + " ON DUPLICATE KEY UPDATE " + sets
		}
	}
	return "INSERT INTO " + into + values
}

// change returns a statement that changes rows or deletes them.
func (g *generator) change(table string) string {
	sets, other := g.sets(table, "", g.often(25)), g.table()
	switch n := g.r.IntN(10); {
	case n == 0 && other != table:
		if p, q := g.sets(table, "p.", g.often(20)), g.sets(other, "q.", g.often(20)); p != "" && q != "" {
			return "UPDATE " + g.called(table) + " AS p JOIN " + g.called(other) + " AS q SET " + p + ", " + q + g.where(table, "p.")
		}
	case n == 1 && other != table:
		return "DELETE p, q FROM " + g.called(table) + " AS p JOIN " + g.called(other) + " AS q" + g.where(table, "p.")
	case n < 7 && sets != "":
		return "UPDATE " + pick(g.r, "", "", "IGNORE ") + g.called(table) + " SET " + sets + g.where(table, "") + g.limited(table)
	}
	if columns := g.of(table); len(columns) > 0 && columns[len(columns)-1].name == "to_" && g.often(60) {
		return pick(g.r, "DELETE FROM "+g.called(table)+" FOR PORTION OF p FROM '2001-01-04' TO '2001-01-05'", "UPDATE "+g.called(table)+" FOR PORTION OF p FROM '2001-01-03' TO '2001-01-06' SET "+sets)
	}
	return "DELETE FROM " + g.called(table) + g.where(table, "") + g.limited(table)
}

// plain returns a statement that changes rows.
func (g *generator) plain() string {
	statement := g.change(g.table())
	if g.often(55) {
		statement = g.insert(g.table())
	}
	if g.maria && g.often(4) {
		return "SET STATEMENT max_statement_time = 100 FOR " + statement
	}
	return statement
}

// step has something happen.
func (c *chronicle) step() {
	s, table := pick(c.r, c.a, c.a, c.b), c.table()
	if len(c.of(table)) == 0 {
		c.mayLose(table)
		c.made(table)
	}
	if len(c.prepared) > 0 && c.often(40) {
		c.settle()
	}
	switch n := c.r.IntN(100); {
	case n < 34:
		for range 1 + c.r.IntN(3) {
			c.run(s, c.plain())
		}
	case n < 42:
		c.transaction(s)
	case n < 45:
		c.interleaved()
	case n < 48:
		c.distributed(s)
	case n < 51:
		c.run(s, pick(c.r, "TRUNCATE ", "TRUNCATE TABLE ", "truncate /* x */ table ")+c.called(table))
	case n < 67:
		c.alters(s, table)
	case n < 72:
		c.again(s, table)
	case n < 77:
		c.session(s)
	case n < 81:
		c.programs(s, table)
	case n < 83:
		c.temporary(s, table)
	case n < 86:
		c.elsewhere(s, table)
	case n < 92:
		c.harmless(s, table)
	case n < 95:
		c.keys(s, table)
	case n < 98:
		c.run(s, "FLUSH BINARY LOGS")
	case n < 99:
		c.loose = true
		c.mayLose()
		c.run(s, "FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
	default:
		c.loose = true
		c.mayLose()
		c.run(s, "DO SLEEP(1.1); "+map[bool]string{true: "RESET MASTER", false: "RESET BINARY LOGS AND GTIDS"}[c.maria])
	}
}

// part carries out a part of a transaction.
func (c *chronicle) part(s *sql.Conn) {
	switch c.r.IntN(10) {
	case 0:
		c.run(s, "SAVEPOINT "+pick(c.r, "s", "`S 2`", "r"))
	case 1:
		c.run(s, pick(c.r, "ROLLBACK TO s", "ROLLBACK TO SAVEPOINT `s 2`", "ROLLBACK TO r", "RELEASE SAVEPOINT s"))
	case 2: // what is logged of a savepoint if there is a table without transactions
		c.run(s, "SAVEPOINT s")
		c.run(s, c.plain())
		c.run(s, "INSERT INTO log_ VALUES ()")
		c.run(s, c.plain())
		c.run(s, pick(c.r, "ROLLBACK TO s", "RELEASE SAVEPOINT s"))
	case 3: // which may commit
		if table := c.table(); c.often(25) {
			c.run(s, pick(c.r, "TRUNCATE "+c.called(table), "CREATE TEMPORARY TABLE IF NOT EXISTS tt (a int)", "DROP TEMPORARY TABLE IF EXISTS tt", "CREATE TABLE IF NOT EXISTS tu AS SELECT 1 AS a", "DROP TABLE IF EXISTS tu", "LOCK TABLES "+c.called(table)+" WRITE", "UNLOCK TABLES", "CREATE OR REPLACE VIEW vv AS SELECT 1", "FLUSH TABLES", "ANALYZE TABLE "+c.called(table)))
		} else if c.often(20) {
			c.alters(s, table)
		}
	default:
		c.run(s, c.plain())
	}
}

func (c *chronicle) transaction(s *sql.Conn) {
	c.run(s, pick(c.r, "BEGIN", "START TRANSACTION", "SET autocommit = 0", "START TRANSACTION WITH CONSISTENT SNAPSHOT"))
	defer func() { c.run(s, "SET autocommit = 1; UNLOCK TABLES") }()
	for range 1 + c.r.IntN(6) {
		c.part(s)
	}
	c.run(s, pick(c.r, "COMMIT", "COMMIT", "ROLLBACK"))
}

// interleaved has two transactions at once.
func (c *chronicle) interleaved() {
	c.run(c.a, "BEGIN")
	c.run(c.b, "BEGIN")
	for range 2 + c.r.IntN(5) {
		c.part(pick(c.r, c.a, c.b))
	}
	c.run(c.b, pick(c.r, "COMMIT", "ROLLBACK"))
	c.run(c.b, "UNLOCK TABLES")
	c.part(c.a)
	c.run(c.a, pick(c.r, "COMMIT", "COMMIT", "ROLLBACK"))
	c.run(c.a, "UNLOCK TABLES")
}

// distributed is an XA transaction, which another session may end.
func (c *chronicle) distributed(s *sql.Conn) {
	xid := "'" + c.fresh("x") + "'" + pick(c.r, "", ", 'b'", ", '', 7")
	c.run(s, "XA START "+xid)
	for range 1 + c.r.IntN(3) {
		c.run(s, c.plain())
	}
	if c.run(s, "XA END "+xid) != nil {
		c.run(s, "XA ROLLBACK "+xid)
		return
	}
	if c.often(25) {
		c.run(s, "XA COMMIT "+xid+" ONE PHASE")
		return
	}
	c.run(s, "XA PREPARE "+xid)
	if c.often(50) {
		c.run(s, pick(c.r, "XA COMMIT ", "XA ROLLBACK ")+xid)
		return
	}
	c.prepared = append(c.prepared, xid)
	c.connect()
}

// again has a table made again, or others take its name.
func (c *chronicle) again(s *sql.Conn, table string) {
	name, other, x, y := c.called(table), c.table(), quote(c.fresh("x")), quote(c.fresh("y"))
	columns := list(c.some(table))
	c.mayLose(table)
	switch c.r.IntN(8) {
	case 0:
		c.run(s, "DROP TABLE "+pick(c.r, "", "IF EXISTS ")+name)
		c.made(table)
	case 1:
		c.mayLose(other)
		c.run(s, "RENAME TABLE "+name+" TO "+x+", "+c.called(other)+" TO "+name+", "+x+" TO "+c.called(other))
	case 2:
		c.run(s, "CREATE TABLE "+x+" LIKE "+name+"; INSERT IGNORE INTO "+x+" ("+columns+") SELECT "+columns+" FROM "+name+" LIMIT 2")
		c.run(s, pick(c.r, "RENAME TABLE "+name+" TO "+y+", "+x+" TO "+name, "ALTER TABLE "+name+" RENAME TO "+y+"; ALTER TABLE "+x+" RENAME AS "+name, "DROP TABLE "+name+"; RENAME TABLE "+x+" TO "+name))
	case 3:
		if c.maria {
			c.run(s, strings.Replace(c.create(table), "CREATE", pick(c.r, "CREATE OR REPLACE", "create /*M!100000 OR REPLACE */"), 1))
		}
	case 4:
		if c.maria {
			c.run(s, pick(c.r, "CREATE OR REPLACE TABLE "+name+" LIKE "+c.called(other), "CREATE TABLE "+x+" LIKE "+name+"; CREATE OR REPLACE TABLE "+name+" LIKE "+x+"; DROP TABLE "+x))
		}
	case 5:
		c.run(s, "CREATE TABLE "+x+" AS SELECT * FROM "+name+"; RENAME TABLE "+name+" TO "+y+", "+x+" TO "+name)
	case 6:
		c.run(s, "RENAME TABLE "+name+" TO other."+x+"; INSERT IGNORE INTO other."+x+" ("+columns+") SELECT "+columns+" FROM other."+x+" LIMIT 1; RENAME TABLE other."+x+" TO "+name)
	case 7:
		if c.maria && c.often(30) {
			c.mayLose()
			c.run(s, "DROP DATABASE headwater; CREATE DATABASE headwater CHARACTER SET utf8mb4; USE headwater")
			c.connect()
			return
		}
		c.mayLose(other)
		c.run(s, "DROP TABLE IF EXISTS "+name+", nothere, "+c.called(other))
	}
	clear(c.columns)
}

// session has rows changed by a session with other settings.
func (c *chronicle) session(s *sql.Conn) {
	insert := c.plain
	off := "ROW"
	var on string
	switch c.r.IntN(6) {
	case 0:
		on, off = "SET SESSION binlog_format = "+pick(c.r, "STATEMENT", "MIXED"), "SET SESSION binlog_format = ROW"
		c.loose = true
		c.mayLose()
		insert = func() string { // a DELETE FOR PORTION OF that fails is not logged as a statement, though it may have changed a row
			for {
				if statement := c.plain(); !strings.Contains(statement, "FOR PORTION OF") {
					return statement
				}
			}
		}
	case 1, 2:
		on, off = "SET SESSION binlog_row_image = "+pick(c.r, "MINIMAL", "NOBLOB"), "SET SESSION binlog_row_image = FULL"
		if insert = func() string { return c.change(c.table()) }; c.maria || c.often(10) { // what is added has not all values
			c.mayLose()
			insert = c.plain
		}
	case 3:
		on, off = "SET SESSION sql_mode = "+pick(c.r, "''", "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", "'PAD_CHAR_TO_FULL_LENGTH'"), "SET SESSION sql_mode = 'STRICT_TRANS_TABLES'"
	case 4:
		if c.maria { // what is put in without a look at keys
			c.mayLose()
		}
		on, off = "SET SESSION time_zone = "+pick(c.r, "'+05:30'", "'-08:00'")+", foreign_key_checks = 0, unique_checks = 0", "SET SESSION time_zone = '+00:00', foreign_key_checks = 1, unique_checks = 1"
	default:
		on, off = "SET SESSION gtid_domain_id = 5", "SET SESSION gtid_domain_id = 0"
		if !c.maria {
			on, off = "SET SESSION binlog_rows_query_log_events = 1", "SET SESSION binlog_rows_query_log_events = 0"
		}
	}
	if c.often(8) && c.maria {
		on, off = "SET SESSION skip_replication = 1, binlog_annotate_row_events = 0", "SET SESSION skip_replication = 0, binlog_annotate_row_events = 1"
	} else if c.often(8) {
		on, off = "SET SESSION completion_type = CHAIN", "SET SESSION completion_type = DEFAULT"
	} else if c.often(8) {
		on, off = "SET SESSION auto_increment_increment = 7, timestamp = 1000000000, insert_id = 50", "SET SESSION auto_increment_increment = 1, timestamp = DEFAULT"
	}
	c.run(s, on)
	for range 1 + c.r.IntN(3) {
		if c.run(s, insert()); c.often(20) && off != "SET SESSION binlog_row_image = FULL" {
			c.transaction(s)
		}
	}
	c.run(s, off)
	c.run(s, "ROLLBACK")
}

// programs has the server's own programs change rows.
func (c *chronicle) programs(s *sql.Conn, table string) {
	x := c.fresh("p")
	switch c.r.IntN(7) {
	case 5:
		c.run(s, "BEGIN; INSERT INTO log_ VALUES (); "+c.plain()+"; INSERT INTO log_ VALUES (); ROLLBACK")
		c.run(s, "ROLLBACK")
	case 6:
		if c.maria {
			c.run(s, "CREATE SEQUENCE "+x)
			c.run(s, "EXECUTE IMMEDIATE 'UPDATE "+strings.ReplaceAll(c.called(table), "'", "''")+" SET "+strings.ReplaceAll(c.sets(table, "", false), "'", "''")+" LIMIT 1'; DO NEXTVAL("+x+")")
			return
		}
		c.run(s, "PREPARE "+x+" FROM 'DELETE FROM "+c.called(table)+" LIMIT ?'; SET @n = 1; EXECUTE "+x+" USING @n")
	case 0, 1:
		body, event := c.plain(), pick(c.r, "INSERT", "UPDATE", "DELETE")
		if c.often(30) {
			body = c.change(c.table())
		}
		c.run(s, "CREATE TRIGGER "+x+" "+pick(c.r, "BEFORE", "AFTER")+" "+event+" ON "+c.called(table)+" FOR EACH ROW "+body)
	case 2:
		c.run(s, "CREATE PROCEDURE "+x+"() BEGIN "+c.plain()+"; "+c.plain()+"; END")
		c.run(s, "CALL "+x+"()")
	case 3:
		c.run(s, "CREATE FUNCTION "+x+"() RETURNS int BEGIN "+c.change(c.table())+"; RETURN 1; END")
		c.run(s, pick(c.r, "DO "+x+"()", "UPDATE "+c.called(c.table())+" SET "+c.sets(table, "", false)+" WHERE "+x+"() = 1"))
	case 4:
		c.run(s, "CREATE VIEW "+x+" AS SELECT * FROM "+c.called(table)+c.where(table, ""))
		c.run(s, strings.Replace(c.insert(table), c.called(table), x, 1))
		c.run(s, "UPDATE "+x+" SET "+c.sets(table, "", c.often(30)))
		c.run(s, "DELETE FROM "+x+" LIMIT 1; DROP VIEW "+x)
	}
}

// temporary has a table hidden by a temporary one for a while.
func (c *chronicle) temporary(s *sql.Conn, table string) {
	c.mayLose()
	switch c.r.IntN(4) {
	case 0: // the log has of both that a table of this name was emptied
		c.run(s, "SET SESSION binlog_format = 'MIXED'; CREATE TEMPORARY TABLE "+quote(table)+" (id int PRIMARY KEY); TRUNCATE TABLE "+quote(table)+"; DROP TEMPORARY TABLE "+quote(table))
		c.run(s, "SET SESSION binlog_format = 'ROW'")
		return
	case 1:
		x := c.fresh("p")
		c.run(s, "CREATE PROCEDURE "+x+"() BEGIN CREATE TEMPORARY TABLE tmp (a int); INSERT INTO tmp VALUES (1); TRUNCATE TABLE "+quote(table)+"; DROP TEMPORARY TABLE tmp; END; CALL "+x+"()")
		return
	}
	if c.run(s, "CREATE TEMPORARY TABLE "+quote(table)+pick(c.r, " LIKE "+quote(table), " (id int PRIMARY KEY, c0 int)")) != nil {
		return
	}
	for range 1 + c.r.IntN(3) {
		c.run(s, c.plain())
	}
	if c.often(50) {
		c.run(s, pick(c.r, "TRUNCATE ", "TRUNCATE TABLE ")+c.called(c.table()))
	}
	if c.often(30) {
		c.run(s, "ALTER TABLE "+quote(table)+" ADD COLUMN q int")
	}
	c.run(s, pick(c.r, "DROP TEMPORARY TABLE ", "DROP TABLE ")+quote(table))
	c.run(s, c.plain())
}

// elsewhere has things happen to a table of the same name in another database.
func (c *chronicle) elsewhere(s *sql.Conn, table string) {
	there := "other." + quote(table)
	c.run(s, "CREATE TABLE IF NOT EXISTS "+there+" LIKE "+c.called(table))
	switch c.r.IntN(4) {
	case 0:
		c.run(s, "USE other; TRUNCATE "+quote(table)+"; ALTER TABLE "+quote(table)+" ADD z int; DROP TABLE "+quote(table))
	case 1:
		c.run(s, "USE other; "+c.plain())
		c.run(s, "USE other; INSERT IGNORE INTO headwater."+quote(table)+" SELECT * FROM "+quote(table))
	case 2:
		c.run(s, "INSERT IGNORE INTO "+there+" SELECT * FROM "+c.called(table)+"; DELETE FROM "+there+" LIMIT 1; TRUNCATE "+there)
	case 3:
		c.run(s, "DROP DATABASE other; CREATE DATABASE other CHARACTER SET utf8mb4")
	}
	c.run(s, "USE headwater")
}

// harmless is what a table is followed through.
func (c *chronicle) harmless(s *sql.Conn, table string) {
	name, x := c.called(table), c.fresh("i")
	columns := c.of(table)
	if len(columns) == 0 {
		return
	}
	k := quote(pick(c.r, columns...).name)
	if c.often(10) { // which takes AUTO_INCREMENT away, in MySQL
		c.mayLose(table)
		c.run(s, "ALTER TABLE "+name+" ALTER "+k+" DROP DEFAULT")
	}
	c.run(s, pick(c.r, "ANALYZE TABLE "+name, "OPTIMIZE TABLE "+name, "CHECK TABLE "+name, "FLUSH TABLES", "CREATE INDEX "+x+" ON "+name+" ("+k+"); DROP INDEX "+x+" ON "+name, "ALTER TABLE "+name+" COMMENT 'x'", "ALTER TABLE "+name+" FORCE",
		"ALTER TABLE "+name+" AUTO_INCREMENT = 100", "ALTER TABLE "+name+" ADD INDEX "+x+" ("+k+")", "CREATE TABLE IF NOT EXISTS "+name+" (a int)", "GRANT SELECT ON "+name+" TO headwater", "ALTER TABLE "+name+" ROW_FORMAT=COMPACT",
		"CREATE TABLE IF NOT EXISTS "+name+" SELECT 1 AS a", "ALTER TABLE "+name+" DEFAULT CHARACTER SET latin2", "DROP TABLE IF EXISTS other."+quote(table), "CREATE TABLE "+x+" SELECT * FROM "+name+"; DROP TABLE "+x,
		"LOCK TABLES "+name+" WRITE; TRUNCATE "+name+"; UNLOCK TABLES", "DROP TABLE IF EXISTS "+x))
	c.run(s, "UNLOCK TABLES")
	clear(c.columns)
}
