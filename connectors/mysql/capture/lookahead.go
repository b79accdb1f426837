package capture

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
)

// recentlyAltered is a number of seconds. If a table was created or altered, by the
// catalog, longer than that before its position, the log behind the position has no
// ALTER of it.
const recentlyAltered = 10 * 60

// lookAheadLimit is how long the log is searched.
const lookAheadLimit = 30 * time.Second

// lookAhead finds the ALTERs between the place where a table begins and the catalog:
// rows before them have other columns. It searches the log, to its end, only if a table
// was altered recently, and looks at no row.
func (l *changeLog) lookAhead(ctx context.Context, c *session.Session) error {
	var young []*captured
	var from binlog.Position
	for _, t := range l.tables {
		if t.refused != nil || t.created > 0 && t.created+recentlyAltered < int64(t.after.Place.Time) {
			continue
		}
		if young = append(young, t); len(young) == 1 {
			from = t.after
		} else {
			from = from.Common(t.after)
		}
	}
	if len(young) == 0 {
		return nil
	}
	end, err := logEnd(ctx, c)
	if err != nil || from.Includes(end) {
		return err
	}
	r, err := l.source.follow(ctx, from, replicaID(l.capture, "look"), false, time.Second)
	if err != nil {
		return err
	}
	defer r.close()
	var now binlog.Transaction
	for began := time.Now(); ; {
		if time.Since(began) > lookAheadLimit {
			for _, t := range young {
				if t.refused == nil && !t.after.Includes(end) {
					t.refused = driver.E(driver.ErrReplaced, nil, "table %s was made or altered of late, and its log since it landed is too long to be looked through for that", t.table)
				}
			}
			return nil
		}
		e, err := r.next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if tx, ok, err := e.Transaction(); err != nil {
			return r.explain(ctx, err)
		} else if ok {
			now = tx
			continue
		}
		if e.Type != binlog.QueryEvent && e.Type != binlog.QueryCompressed || now.AlterStarts || now.AlterFails {
			continue
		}
		q, err := r.read.Query(e)
		if err != nil {
			return r.explain(ctx, err)
		}
		st := q.Parse()
		if st.Kind != binlog.Define {
			continue
		}
		for _, t := range young {
			if t.refused == nil && !t.after.Covers(now) && t.isNamed(st) { // a name that may be this one is left to the reading
				t.noteDefinition(st, now.String())
			}
		}
	}
}

// noteDefinition notes an ALTER whose outcome the catalog shows, or refuses the table if
// rows before it cannot be read.
func (t *captured) noteDefinition(st binlog.Statement, gtid string) {
	if st.Effect == binlog.Rewrites {
		t.refused = driver.E(driver.ErrReplaced, nil, "table %s was altered by transaction %s, before its log was read up to there", t.table, gtid)
		return
	}
	for _, name := range st.Filled {
		if c, ok := t.table.Column(name); ok && !c.Filled || !utf8.ValidString(name) { // who landed the table takes it for empty
			t.refused = driver.E(driver.ErrReplaced, nil, "table %s: column %s was added with a default by transaction %s, and has another one now", t.table, name, gtid)
			return
		}
	}
	t.ahead = append(t.ahead, ahead{gtid: gtid, added: st.Added})
}

// isNamed reports whether a statement names the table.
func (t *captured) isNamed(st binlog.Statement) bool {
	return slices.ContainsFunc(st.Tables, func(n binlog.Name) bool { return n.Is(t.table.Namespace, t.table.Name, t.fold) })
}

// mayBeNamed reports whether a statement names a table in another character set, which
// may be this table.
func (t *captured) mayBeNamed(st binlog.Statement) bool {
	plain := func(name string) bool {
		return !strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf })
	}
	return !plain(t.table.Namespace+t.table.Name) && slices.ContainsFunc(st.Tables, func(n binlog.Name) bool { return !utf8.ValidString(n.Schema + n.Table) })
}

// lacksAll reports whether the table has none of some columns, and had none when the
// reading began: what was dropped since its place was found ahead, or is still in columns.
func (t *captured) lacksAll(names []string) bool {
	has := func(name string) bool {
		return !utf8.ValidString(name) || slices.ContainsFunc(t.columns, func(c logColumn) bool { return strings.EqualFold(c.name, name) })
	}
	return len(names) > 0 && len(t.ahead) == 0 && !slices.ContainsFunc(names, has)
}
