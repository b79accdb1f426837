package mysql

import (
	"context"
	"fmt"
	"strings"

	"headwater/connectors/mysql/session"
)

// A statement that locks its table reads pieceSize bytes of it. Batches are taken from the
// server as fast as they come; up to pieceAhead of them wait for the consumer.
const (
	pieceSize  = 8 << 20
	pieceAhead = 4096
)

// locks reports whether a read keeps writers waiting until its last row was sent:
// engines without row versions lock the table for each statement.
func (d tableInfo) locks() bool {
	switch strings.ToLower(d.engine) {
	case "myisam", "aria", "memory", "mrg_myisam", "csv":
		return d.Kind != "view"
	}
	return false
}

// locking says, as a note, what a read of such a table means for its writers. It returns
// "" for other tables.
func (d tableInfo) locking() string {
	if !d.locks() {
		return ""
	}
	if _, err := d.pieceKey(); err != nil {
		return fmt.Sprintf("%s keeps no versions of rows (%s), and no primary key to read it in pieces by: who writes to this table waits for a lock while it is read.", d.Table, d.engine)
	}
	return fmt.Sprintf("%s keeps no versions of rows (%s): it is read in pieces, so that who writes to this table waits for a lock no longer than a piece is read; its rows are of several moments.", d.Table, d.engine)
}

// pieceKey returns the key that a table is read in pieces by, or an error if it has
// none.
func (d tableInfo) pieceKey() (*key, error) {
	if !d.clustered || d.prefixed { // it has no primary key, or the key has only the beginning of a column
		return nil, errNoKey
	}
	columns, err := keyColumns(d)
	return &key{columns: columns}, err
}

// pieces returns the statements that together read a table which each statement locks.
// It returns query alone where the table need not or cannot be divided.
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
