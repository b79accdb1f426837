package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/catalog"
	"headwater/connectors/postgres/moment"
	"headwater/connectors/postgres/session"
)

// shareLimit bounds how long a sync waits for connections that it may not be able to
// have.
const shareLimit = 3 * time.Second

// Share exports the snapshot of a transaction that stays open until Close, and returns
// it as text for Join. First it opens as many connections as there are readers, and
// makes sure that they see the snapshot. ErrUnsupported says that there is no such
// moment: the account may have fewer connections, or a pooler is in between.
func (s *source) Share(ctx context.Context, readers int) (string, error) {
	if s.Settings.MaxConnections == 1 {
		return "", driver.E(driver.ErrUnsupported, nil, "connection_config.max_connections allows no second connection")
	}
	c, m, err := moment.Export(ctx, s.Pool, "")
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(m)
	if err == nil {
		err = s.probe(ctx, m, readers)
	}
	if err != nil {
		s.Keep(ctx, c)
		return "", err
	}
	s.holder.Hold(c)
	return string(text), nil
}

// probe opens that many connections at the same time and enters the snapshot with each.
// One of them is kept.
func (s *source) probe(ctx context.Context, m moment.Shared, readers int) error {
	limited, cancel := context.WithTimeout(ctx, shareLimit)
	defer cancel()
	var all []*session.Session
	defer func() {
		for i, c := range all {
			if i == 0 {
				s.Keep(ctx, c)
			} else {
				c.Close()
			}
		}
	}()
	for range max(readers, 1) {
		c, err := s.Connect(limited, nil)
		if err != nil {
			return driver.E(driver.ErrUnsupported, nil, "the server gives this account no further connection, of %d, within %s", readers+1, shareLimit)
		}
		all = append(all, c)
		extent := ""
		err = c.Run(limited, c.Begin(m.Snapshot)+"; SELECT "+moment.SnapshotFunction(c), func(_ int, row [][]byte) error {
			extent = string(row[0])
			return nil
		})
		switch {
		case limited.Err() != nil:
			return driver.E(driver.ErrUnsupported, nil, "there is no further connection to be had, of %d, within %s", readers+1, shareLimit)
		case err != nil || extent != m.Extent:
			return driver.E(driver.ErrUnsupported, nil, "another connection does not see the snapshot of the first, as behind a pool of several servers")
		}
	}
	return nil
}

// Join makes later reads be of the moment that Share returned, from any source with the
// same settings. "" leaves the moment.
func (s *source) Join(text string) {
	s.joined, s.apart = nil, ""
	if text == "" {
		return
	}
	var m moment.Shared
	if json.Unmarshal([]byte(text), &m) != nil {
		s.apart = "its moment is not known"
		return
	}
	s.joined = &m
}

// Apart says why the last table was not read at the moment of the sync, "" if it was.
func (s *source) Apart() string { return s.apart }

var _ driver.Sharer = (*source)(nil)

// signed sums up what decides, besides the snapshot, which rows a statement finds: a
// statement uses the catalog as it is now.
const signed = catalog.ReachedFrom + `
SELECT md5(string_agg(concat_ws(' ', c.oid, c.relfilenode, c.relkind, c.relrowsecurity, n.nspname, c.relname,
    (SELECT string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attisdropped), ',' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
    (SELECT string_agg(i.inhparent::text, ',' ORDER BY i.inhparent) FROM pg_inherits i WHERE i.inhrelid = c.oid),
    CASE WHEN c.relkind = 'v' THEN (SELECT md5(r.ev_action::text) FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename = '_RETURN') END), E'\n' ORDER BY c.oid)),
  bool_or(c.relkind = 'f'),
  EXISTS (SELECT FROM tree JOIN pg_class v ON v.oid = tree.oid AND v.relkind = 'v' JOIN pg_rewrite r ON r.ev_class = v.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
    JOIN pg_proc f ON f.oid = o.oprcode OR d.refclassid = 'pg_proc'::regclass AND f.oid = d.refobjid JOIN pg_language l ON l.oid = f.prolang
    WHERE f.provolatile <> 'i' AND NOT (f.provolatile = 's' AND l.lanname IN ('c', 'internal'))),
  EXISTS (SELECT FROM tree JOIN pg_policy p ON p.polrelid = tree.oid JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
    WHERE current_setting('row_security') = 'on' AND (d.refclassid = 'pg_proc'::regclass OR d.refclassid = 'pg_class'::regclass AND d.refobjid <> p.polrelid))
FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace`

// planAt is planAlone in the older snapshot of a moment. It first asks what the catalog
// says of the table now: if the snapshot has something else, the rows would be of
// neither. why says why the table cannot be read at the moment.
func (s *source) planAt(ctx context.Context, t driver.Table, at *moment.Shared) (c *session.Session, p *plan, why string, err error) {
	namespace, name := session.Literal(t.Namespace), session.Literal(t.Name)
	asked := fmt.Sprintf(signed, "", namespace, name)
	now, then := "", [4]string{}
	p = &plan{table: t}
	c, found, err := catalog.Describe(ctx, s.Pool, catalog.Reads{
		Before:   "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; SET LOCAL statement_timeout = 0; SET LOCAL search_path = pg_catalog; " + asked + "; COMMIT;",
		Snapshot: at.Snapshot,
		Where:    fmt.Sprintf(catalog.OfTable, namespace, name),
		Further: func(c *session.Session) string {
			return fmt.Sprintf(moment.OfMoment, moment.SnapshotFunction(c), namespace, name, moment.TimelineFunction(c)) + ";" + asked
		},
		Begin: func() { p.moment = moment.Moment{} },
		First: func(row [][]byte) error { now = string(row[0]); return nil },
		Take: func(statement int, row [][]byte) error {
			if statement < 2 {
				return p.moment.Take(statement, row)
			}
			for i := range then {
				then[i] = string(row[i])
			}
			return nil
		},
	})
	if err != nil {
		return nil, nil, "the snapshot of the sync could not be read in: " + err.Error(), err
	}
	err = p.found(found)
	switch {
	case p.server.Name != at.Server || p.moment.Snapshot != at.Extent:
		why = "another server answers than the one that has the snapshot of the sync"
	case then[0] != now:
		why = "it was altered, truncated or made anew after the sync began"
	case then[1] == "t":
		why = "rows of foreign tables are of the moment in which their own server is asked"
	case then[2] == "t":
		why = "it calls functions, and which tables they read is not known"
	case then[3] == "t":
		why = "its policies read other tables"
	case err != nil:
		why = err.Error()
	default:
		p.moment.At, p.moment.Blind = time.UnixMicro(at.At).UTC(), at.Blind
		if at.Since != nil {
			p.moment.Since, p.moment.Known = time.Duration(*at.Since)*time.Second, true
		}
		p.moment.Open = at.Writing == moment.AllTables || slices.ContainsFunc(strings.Fields(at.Writing), p.moment.Has)
		return c, p, "", nil
	}
	s.Keep(ctx, c)
	return nil, nil, why, err
}
