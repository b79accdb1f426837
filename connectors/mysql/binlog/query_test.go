package binlog

import "testing"

// Statements that change rows of the server's own tables alone.
func TestOfServer(t *testing.T) {
	for sql, want := range map[string]bool{
		"INSERT INTO mysql.rds_heartbeat2(id, value) values (1,1483406652000) ON DUPLICATE KEY UPDATE value = 1483406652000.5": true,
		"DELETE FROM mysql.rds_sysinfo where name = 'innodb_txn_key'":                                                          true,
		"delete from `mysql`.`rds_monitor`":                                                                                    true,
		"UPDATE mysql.x SET a = 1":                                                                                             true,
		"INSERT INTO x VALUES (1)":                                                                                             false,
		"INSERT INTO mysql.x SELECT * FROM shop.t":                                                                             false,
		"INSERT INTO mysql.x VALUES (other.f())":                                                                               false,
		"INSERT INTO mysql.x VALUES (f())":                                                                                     false,
		"INSERT INTO mysql.x SET a = 1, b = `f` (1)":                                                                           false,
		"REPLACE mysql.x (a, b) VALUE (NOW(), (1))":                                                                            true,
		"UPDATE mysql.x, t SET t.a = 1":                                                                                        false,
		"DELETE t FROM mysql.x, t":                                                                                             false,
		"DELETE FROM mysql.x USING mysql.x, t":                                                                                 false,
		"CALL mysql.p()":                                                                                                       false,
		"REPLACE `mysql`":                                                                                                      false,
		"WITH a AS (SELECT 1) DELETE FROM mysql.x WHERE a IN (SELECT)":                                                         false,
	} {
		if got := (Query{Schema: "d", SQL: sql}).OfServer(); got != want {
			t.Errorf("%s: %v", sql, got)
		}
	}
}

// In some character sets a backslash or a quote is the second byte of a character.
func TestCharactersOfTwoBytes(t *testing.T) {
	const sql = "ALTER TABLE t COMMENT '\x95\x5c', MODIFY a int, COMMENT ''"
	for charset, want := range map[uint16]Effect{0: Nothing, 45: Nothing, 13: Rewrites, 1024 + 13: Rewrites, 2048 + 13: Nothing, 28: Rewrites} {
		if st := (Query{Schema: "d", SQL: sql, Charset: charset}).Parse(); st.Effect != want {
			t.Errorf("%d: %v, want %v", charset, st.Effect, want)
		}
	}
	st := (Query{Schema: "d", SQL: "TRUNCATE \x95\x60", Charset: 13}).Parse()
	if len(st.Tables) != 1 || st.Tables[0].Table != "\x95\x60" {
		t.Errorf("a name ends within a character: %q", st.Tables)
	}
}
