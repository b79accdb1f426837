package sqlite

import (
	"context"
	"crypto/sha256"
	sqldriver "database/sql/driver"
	"encoding/hex"
	"io"
	"strings"

	"headwater/connectors/driver"
)

// keyColumn is a column of a key, and how SQLite compares it.
type keyColumn struct {
	name      string
	collation string
}

// index is a unique index over columns, without a condition and without expressions.
type index struct {
	name    string
	primary bool
	columns []keyColumn
}

// keysOf returns the columns of the primary key, or of the shortest unique index over
// columns that are never NULL. It also returns which columns are unique.
func (s *source) keysOf(ctx context.Context, t dbTable) (key []keyColumn, unique map[string]bool, err error) {
	unique = map[string]bool{}
	if t.kind != "table" {
		return nil, unique, nil
	}
	indexes, err := s.indexes(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range t.keys() {
		key = append(key, keyColumn{name: c.name})
	}
	primary := len(key) > 0
	for _, x := range indexes {
		if len(x.columns) == 1 {
			unique[x.columns[0].name] = true
		}
		switch {
		case x.primary && len(x.columns) >= len(key):
			key = x.columns[:len(key)]
		case !primary && t.never(x.columns) && (key == nil || len(x.columns) < len(key)):
			key = x.columns
		}
	}
	return key, unique, nil
}

// never reports whether none of the columns can be NULL.
func (t dbTable) never(columns []keyColumn) bool {
	for _, k := range columns {
		for _, c := range t.columns {
			if c.name == k.name && !c.notNull {
				return false
			}
		}
	}
	return true
}

func (s *source) indexes(ctx context.Context, t dbTable) (found []index, err error) {
	err = s.rows(ctx, "PRAGMA main.index_list("+quote(t.name)+")", nil, func(row []sqldriver.Value) error {
		if row[2] == int64(1) && row[4] == int64(0) {
			found = append(found, index{name: asText(row[1]), primary: asText(row[3]) == "pk"})
		}
		return nil
	})
	if err != io.EOF {
		return nil, s.failed(ctx, err, "reading the indexes of "+t.name)
	}
	var whole []index
	for _, x := range found {
		ofColumns := true
		err := s.rows(ctx, "PRAGMA main.index_xinfo("+quote(x.name)+")", nil, func(row []sqldriver.Value) error {
			if row[5] != int64(1) {
				return nil
			}
			name, ok := row[2].(string)
			ofColumns = ofColumns && ok
			x.columns = append(x.columns, keyColumn{name, strings.ToUpper(asText(row[4]))})
			return nil
		})
		if err != io.EOF {
			return nil, s.failed(ctx, err, "reading the indexes of "+t.name)
		}
		if ofColumns && len(x.columns) > 0 {
			whole = append(whole, x)
		}
	}
	return whole, nil
}

// equality returns how SQLite compares the column if that is not byte by byte.
func (k keyColumn) equality(g *guess) driver.Equality {
	kinds := 0
	for _, seen := range []bool{g.integers || g.reals, g.texts, g.blobs} {
		if seen {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return driver.NotComparable + "it holds values of several kinds, which SQLite tells apart (1, '1' and x'31' are three keys) and which land as one type"
	case g.nulls:
		return driver.NotComparable + "it holds NULLs, and SQLite takes no two of them for the same key"
	case !g.texts || k.collation == "" || k.collation == "BINARY":
		return ""
	case k.collation == "RTRIM":
		return driver.EqualPadded
	case k.collation == "NOCASE" && !g.foreign:
		return driver.EqualFolded
	case k.collation == "NOCASE":
		return driver.NotComparable + "its collation NOCASE takes only the letters a to z for their capitals, and it holds others"
	}
	return driver.Equality(driver.NotComparable + "its collation " + k.collation + " is the program's own")
}

// identity is what the values of old rows of a column depend on: its type, the default
// that older rows have, and for a computed column the whole statement that created the
// table.
func (t dbTable) identity(c dbColumn) string {
	text := c.declared + "\x00" + c.fallback
	if c.computed {
		text += "\x00" + t.sql
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// autoincrement reports whether the statement that created a table keeps row numbers
// from being given twice.
func autoincrement(sql string) bool { return strings.Contains(strings.ToUpper(sql), "AUTOINCREMENT") }
