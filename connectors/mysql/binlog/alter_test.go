package binlog

import (
	"fmt"
	"testing"
)

// Parts of an ALTER that look like less than they do.
func TestAlterParts(t *testing.T) {
	for sql, want := range map[string]string{
		"ALTER TABLE t MODIFY engine int NOT NULL AFTER innodb":                         "2 [] []",
		"ALTER TABLE t CHANGE aria engine int":                                          "2 [] []",
		"ALTER TABLE t COMMENT='x' ENGINE=InnoDB":                                       "0 [] []",
		"ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (a)":               "1 [] []",
		"ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u (a) ON UPDATE SET NULL":         "2 [] []",
		"ALTER TABLE t ADD a int REFERENCES u (a) ON DELETE SET DEFAULT":                "2 [] []",
		"ALTER TABLE t ADD a timestamp NULL ON UPDATE current_timestamp":                "1 [a] []",
		"ALTER TABLE t ADD a int DEFAULT 5, DROP d":                                     "2 [] []",
		"ALTER TABLE t ADD a set('x') DEFAULT NULL":                                     "1 [a] []",
		"ALTER TABLE t ADD a int DEFAULT 5, ADD b int, ADD c int DEFAULT (1 + 1) FIRST": "1 [a b c] [a c]",
		"ALTER TABLE t ADD `default` int COMMENT 'DEFAULT 5', DROP KEY d":               "1 [default] []",
	} {
		st := Query{Schema: "d", SQL: sql}.Parse()
		if got := fmt.Sprint(st.Effect, st.Added, st.Filled); got != want {
			t.Errorf("%s\n is %s, want %s", sql, got, want)
		}
	}
	for sql, want := range map[string]string{
		"ALTER TABLE t DROP COLUMN IF EXISTS a":                                          "2 [a]",
		"ALTER TABLE t DROP IF EXISTS `if` CASCADE, DROP COLUMN IF EXISTS b, DROP KEY i": "2 [if b]",
		"ALTER TABLE t DROP COLUMN IF EXISTS a, DROP b":                                  "2 []",
		"ALTER TABLE t DROP `IF`":                                                        "2 []",
		"ALTER TABLE t DROP COLUMN IF EXISTS a, ADD b int":                               "2 []",
		"ALTER TABLE t DROP COLUMN IF EXISTS a, ADD CHECK (b > 1)":                       "2 []",
		"ALTER TABLE t DROP IF EXISTS PERIOD FOR p":                                      "2 []",
		"ALTER TABLE t DROP COLUMN IF EXISTS d.a":                                        "2 []",
		"ALTER IGNORE TABLE t DROP COLUMN IF EXISTS a":                                   "2 []",
		"ALTER TABLE t DROP PARTITION IF EXISTS p":                                       "2 []",
		"ALTER TABLE t DROP INDEX IF EXISTS i":                                           "0 []",
	} {
		st := Query{Schema: "d", SQL: sql}.Parse()
		if got := fmt.Sprint(st.Effect, st.IfThere); got != want {
			t.Errorf("%s\n is %s, want %s", sql, got, want)
		}
	}
}
