package capture_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest/servers"
	"headwater/connectors/postgres/session"
)

// play carries out the steps of a history: "0 INSERT ..." is a statement of the first of three
// sessions, of which @ stands for what the names of this history begin with.
type play struct {
	*recorder
	server   *servers.Server
	db       *sql.DB
	version  int
	name     string // what @ stands for
	m        *mirror
	sessions [3]*sql.Conn
	open     [3]bool // it is in a transaction
	broken   [3]bool // which has failed
	steps    []string
	log      []string
	told     []string          // of what kind the refusals were
	altered  map[string]string // what was done to a table, other than to its rows, since it was read whole
	odd      map[string]string // what happened to rows of a table that cannot happen to them
	during   string            // what is done in the next sync before tables are read whole
	current  bool              // the last sync came to its end
	reading  *reading          // the one that is under way, or nil
	kept     bool
}

// reading is a continuous one, which goes on beside what is done.
type reading struct {
	cancel func()
	done   chan error
	landed atomic.Pointer[string]
}

var plays int

func newPlay(t testing.TB, server *servers.Server) *play {
	plays++
	p := &play{recorder: &recorder{TB: t}, server: server, name: fmt.Sprintf("h%d", plays), altered: map[string]string{}, odd: map[string]string{}}
	p.db = handle(p.recorder, server)
	p.version = value[int](p, p.db, "SELECT current_setting('server_version_num')::int / 10000")
	return p
}

// do carries out a step.
func (p *play) do(step string) {
	defer func() { p.recovered(recover()) }()
	p.steps, p.log = append(p.steps, step), append(p.log, step)
	what, rest, _ := strings.Cut(step, " ")
	if p.m == nil && what != "tables" && what != "0" {
		return
	}
	n, _ := strconv.Atoi(rest)
	switch what {
	case "tables":
		p.begin(strings.Fields(rest))
	case "sync":
		p.sync()
	case "follow":
		p.follow()
	case "await":
		p.await()
	case "unfollow":
		p.stop()
	case "left":
		p.partly(n)
	case "lost":
		p.m.lose = true
		p.partly(n)
		p.m.lose = false
	case "deaf":
		p.m.deaf = true
		p.partly(n)
		p.m.deaf = false
	case "another":
		p.stop()
		was := p.m.src
		p.m.src = p.m.another()
		was.Close()
	case "kill":
		p.kill()
	case "between":
		p.during = rest
		p.m.between = func() { p.m.between = nil; p.statement("0", rest) }
	default:
		p.statement(what, rest)
	}
}

// begin opens the source, with a publication of ours or one that people keep.
func (p *play) begin(words []string) {
	src := openWith(p, p.server, func(s *session.Settings) {
		s.Schemas = []string{p.name}
		if p.kept = words[0] == "kept"; p.kept {
			s.Username, s.Password, s.Publication = "plain", "plain-7391", p.name+"_kept"
		}
	})
	p.m = mirrorOf(p, src, words[1:]...)
	p.m.odd = func(name, how string) { p.odd[name] = how }
	p.m.keys = func(t driver.Table) (key []string) {
		for _, name := range []string{"id", "k2"} {
			if _, ok := t.Column(name); ok {
				key = append(key, name)
			}
		}
		return key
	}
	p.m.called, p.m.within, p.m.refused = p.name, p.name, map[string]error{}
}

var (
	ofRows  = regexp.MustCompile(`^(INSERT|UPDATE|DELETE|MERGE|COPY|WITH|SELECT|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|PREPARE|DO|SET)`)
	ofMore  = regexp.MustCompile(`ALTER|TRUNCATE|CREATE|DROP`)
	ofTable = regexp.MustCompile(`@x?\.([a-d])(?:_|\b)`)
)

// statement runs a statement, which may fail.
func (p *play) statement(of, text string) {
	at := int(of[0] - '0')
	p.mark(text)
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	c := p.sessions[at]
	for tries := 0; c == nil; tries++ {
		var err error
		if c, err = p.db.Conn(ctx); err != nil && tries > 100 {
			p.Fatalf("connect: %v", err)
		}
		p.sessions[at] = c
	}
	_, err := c.ExecContext(ctx, strings.ReplaceAll(text, "@", p.name))
	if err != nil {
		p.log = append(p.log, "    "+err.Error())
		if strings.HasPrefix(text, "BEGIN; ") {
			_, _ = c.ExecContext(ctx, "ROLLBACK")
			p.open[at] = false
		}
		if ctx.Err() != nil || c.PingContext(ctx) != nil {
			c.Close()
			p.sessions[at], p.open[at], p.broken[at] = nil, false, false
		}
	}
	switch first, _, _ := strings.Cut(text, " "); {
	case first == "BEGIN" && err == nil:
		p.open[at], p.broken[at] = !strings.HasSuffix(text, "COMMIT"), false
	case first == "COMMIT" || first == "PREPARE" || text == "ROLLBACK":
		if !strings.Contains(text, "PREPARED") {
			p.open[at], p.broken[at] = false, false
		}
	case strings.HasPrefix(text, "ROLLBACK TO") && err == nil:
		p.broken[at] = false
	case err != nil:
		p.broken[at] = p.open[at]
	}
}

// mark notes which tables a statement alters, if it does not change their rows alone.
func (p *play) mark(text string) {
	if p.m == nil || ofRows.MatchString(text) && !ofMore.MatchString(text) {
		return
	}
	of := ofTable.FindAllStringSubmatch(text, -1)
	for _, name := range p.m.names {
		if len(of) == 0 || strings.Contains(text, "PUBLICATION") || slices.ContainsFunc(of, func(m []string) bool { return m[1] == name }) {
			p.altered[name] = text
		}
	}
}

// settle ends what transactions are open.
func (p *play) settle() {
	for at := range p.sessions {
		if p.open[at] {
			p.log = append(p.log, fmt.Sprintf("%d COMMIT (for it holds the reader up)", at))
			_, _ = p.sessions[at].ExecContext(p.Context(), "COMMIT")
			p.open[at], p.broken[at] = false, false
		}
	}
	rows, err := p.db.QueryContext(p.Context(), "SELECT gid FROM pg_prepared_xacts")
	if err != nil {
		return
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if rows.Scan(&id) == nil {
			p.log = append(p.log, fmt.Sprintf("0 COMMIT PREPARED '%s' (for it holds the reader up)", id))
			_, _ = p.db.ExecContext(p.Context(), fmt.Sprintf("COMMIT PREPARED '%s'", id))
		}
	}
}

// guarded runs f and ends open transactions that hold it up. It reports whether it did.
func (p *play) guarded(f func()) (settled bool) {
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-done:
		case <-time.After(400 * time.Millisecond):
			prepared := 0
			_ = p.db.QueryRowContext(p.Context(), "SELECT count(*) FROM pg_prepared_xacts").Scan(&prepared) // it fails on a connection from before a kill
			if settled = p.open != [3]bool{} || prepared > 0; settled {
				p.settle()
			}
		}
	}()
	defer func() {
		close(done)
		if <-over; settled {
			p.mark("ALTER what was under way")
		}
	}()
	f()
	return
}

// sync brings the mirror up to date, and compares it with the source.
func (p *play) sync() {
	p.stop()
	for tries := 0; tries < 12; tries++ {
		again, differs, had := false, "", len(p.failed())
		settled := p.guarded(func() {
			if again = p.once(); !again && p.current {
				differs = p.compare()
			}
		})
		if p.calm(had, settled); settled {
			continue
		}
		if !again {
			if differs != "" {
				p.Errorf("%s", differs)
			}
			return
		}
	}
	p.Errorf("it is altered again and again")
}

// once is one round of a sync. It reports whether another is due.
func (p *play) once() (again bool) {
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	during := ""
	if between := p.m.between; between != nil {
		p.m.between = func() { during = p.during; between() }
	}
	err := p.m.try(ctx)
	p.read()
	if during != "" {
		p.mark(during)
	}
	return p.judge(err)
}

// judge takes a round's result. It reports whether another is due.
func (p *play) judge(err error) (again bool) {
	for _, name := range slices.Sorted(maps.Keys(p.m.refused)) {
		why := p.m.refused[name]
		if p.m.tables[name].after != "" {
			p.log = append(p.log, "    refused: "+why.Error())
			p.told = append(p.told, kindOf(why.Error(), p.name)+" AFTER "+kindOf(p.altered[name], p.name))
			if p.altered[name] == "" && !errors.Is(why, driver.ErrUnsupported) {
				p.Errorf("%s is refused without need: %v", name, why)
			}
		}
		p.m.tables[name].after = ""
	}
	if err != nil {
		p.log = append(p.log, "    sync: "+err.Error())
	}
	p.current = err == nil
	switch {
	case err == nil:
		return false
	case errors.Is(err, driver.ErrRetyped):
		return true
	case errors.Is(err, driver.ErrReplaced):
		if strings.Contains(err.Error(), "slot") {
			p.Errorf("the log is lost: %v", err)
		}
		p.told = append(p.told, kindOf(err.Error(), p.name))
		p.m.tables, p.m.landed = map[string]*mirrored{}, ""
		return true
	case errors.Is(err, driver.ErrInvalidConfig), errors.Is(err, driver.ErrNotFound):
		return false
	}
	p.Errorf("sync: %v", err)
	return false
}

// close removes what the history made.
func (p *play) close() {
	defer func() { p.recovered(recover()) }()
	p.stop()
	p.settle()
	for _, c := range p.sessions {
		if c != nil {
			c.Close()
		}
	}
	if p.m != nil {
		if err := p.m.src.Release(p.Context(), p.m.reader(), ""); err != nil {
			p.Errorf("release: %v", err)
		}
	}
	for _, s := range []string{"DROP PUBLICATION IF EXISTS @_kept, @_kept_p, @_p", "DROP SCHEMA IF EXISTS @, @x, @y CASCADE"} {
		run(p, p.db, strings.ReplaceAll(s, "@", p.name))
	}
	for _, what := range []string{"pg_replication_slots", "pg_publication", "pg_largeobject_metadata"} {
		if n := value[int](p, p.db, "SELECT count(*) FROM "+what); n != 0 {
			p.Errorf("%d of %s are left", n, what)
		}
	}
	for _, end := range slices.Backward(p.ends) {
		end()
	}
}

var digits = regexp.MustCompile(`[0-9]+`)

// kindOf is a text without what differs from history to history.
func kindOf(text, name string) string {
	return digits.ReplaceAllString(strings.ReplaceAll(text, name, "@"), "#")
}
