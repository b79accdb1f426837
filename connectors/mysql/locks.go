package mysql

import (
	"context"
	"fmt"
	"strings"

	"headwater/connectors/mysql/session"
)

// pieceSize is how many bytes of a table are read in one statement that locks
// it. They are taken as fast as they come, whatever becomes of them then, for
// which pieceAhead batches may wait.
const (
	pieceSize  = 8 << 20
	pieceAhead = 4096
)

// locks reports whether a read keeps writers out until its last row is sent:
// engines without versions of rows lock the table for each statement.
func (d tableInfo) locks() bool {
	switch strings.ToLower(d.engine) {
	case "myisam", "aria", "memory", "mrg_myisam", "csv":
		return d.Kind != "view"
	}
	return false
}

// locking says what a read of such a table means for who writes to it, "" for
// other tables.
func (d tableInfo) locking() string {
	if !d.locks() {
		return ""
	}
	if _, err := d.pieceKey(); err != nil {
		return fmt.Sprintf("%s keeps no versions of rows (%s), and no primary key to read it in pieces by: who writes to this table waits for a lock while it is read.", d.Table, d.engine)
	}
	return fmt.Sprintf("%s keeps no versions of rows (%s): it is read in pieces, so that who writes to this table waits for a lock no longer than a piece is read; its rows are of several moments.", d.Table, d.engine)
}

// pieceKey is the key that a table is read in pieces by.
func (d tableInfo) pieceKey() (*key, error) {
	if !d.clustered || d.prefixed { // it has no primary key, or not all of it
		return nil, errNoKey
	}
	columns, err := keyColumns(d)
	return &key{columns: columns}, err
}

// pieces returns the statements that together read the whole of a table which a
// statement locks; the one that was given where it cannot be divided.
func (s *source) pieces(ctx context.Context, c *session.Session, d tableInfo, query string) ([]string, error) {
	k, err := d.pieceKey()
	if err != nil || !d.locks() || d.RowEstimate <= 0 || d.bytes <= pieceSize {
		return []string{query}, nil
	}
	ranges, err := newDivider(c, k, d, pieceSize).divide(ctx, interval{}, d.RowEstimate)
	if err != nil {
		return nil, err
	}
	all := make([]string, len(ranges))
	for i, r := range ranges {
		all[i] = query
		if v, ok := k.parse(r.Token); ok {
			if where := k.where(v); where != "" {
				all[i] += " FORCE INDEX (PRIMARY) WHERE " + where
			}
		}
	}
	return all, nil
}
