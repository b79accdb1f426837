package capture_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/capture"
)

// partly reads n places, and leaves the reading there.
func (p *play) partly(n int) {
	p.stop()
	had := len(p.failed())
	p.calm(had, p.guarded(func() {
		ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
		defer cancel()
		p.m.change = func(c *driver.Capture) { c.Delay = 0 }
		defer func() { p.m.change = nil }()
		log, err := p.m.capture(ctx)
		if err == nil {
			defer log.Close()
			err = p.m.load(log)
			p.read()
		}
		if err == nil {
			err = p.m.follow(ctx, log, func() bool { n--; return n < 0 })
		}
		p.judge(err)
	}))
}

// calm forgets what went wrong while a transaction was ended that held the reader up: what is
// altered at that moment may have any error.
func (p *play) calm(had int, settled bool) {
	if settled {
		p.all = p.all[:had]
	}
}

// read notes which tables were read whole.
func (p *play) read() {
	for _, name := range p.m.loaded {
		delete(p.altered, name)
		delete(p.odd, name)
	}
}

// follow begins a reading that goes on.
func (p *play) follow() {
	p.stop()
	had := len(p.failed())
	p.calm(had, p.guarded(func() {
		ctx, cancel := context.WithCancel(p.Context())
		p.m.change = func(c *driver.Capture) { c.Delay, c.Continuous = time.Millisecond, true }
		log, err := p.m.capture(ctx)
		p.m.change = nil
		if err == nil {
			capture.SetIdle(log, 20*time.Millisecond)
			if err = p.m.load(log); err != nil {
				log.Close()
			}
			p.read()
		}
		if err != nil {
			cancel()
			p.judge(err)
			return
		}
		r := &reading{cancel: cancel, done: make(chan error, 1)}
		p.reading = r
		go func() {
			defer func() { p.recovered(recover()) }()
			defer log.Close()
			err := error(driver.E(driver.ErrUnreachable, nil, "the reading failed"))
			defer func() { r.done <- err }()
			err = p.m.follow(ctx, log, func() bool { at := p.m.landed; r.landed.Store(&at); return false })
		}()
	}))
}

// await waits until the reading is where the log ends, or it has ended.
func (p *play) await() {
	r := p.reading
	if r == nil {
		return
	}
	end := value[string](p, p.db, "SELECT pg_current_wal_insert_lsn()::text")
	for until := time.Now().Add(time.Second); time.Now().Before(until) && len(r.done) == 0; time.Sleep(2 * time.Millisecond) {
		if at := r.landed.Load(); at != nil && value[bool](p, p.db, "SELECT $1::pg_lsn >= $2::pg_lsn", *at, end) {
			return
		}
	}
}

// stop ends the reading, if there is one.
func (p *play) stop() {
	r := p.reading
	if r == nil {
		return
	}
	p.reading = nil
	select {
	case err := <-r.done:
		r.cancel()
		if !errors.Is(err, driver.ErrUnreachable) {
			p.judge(err)
		}
	default:
		r.cancel()
		<-r.done
	}
}

// kill has the server end as it does in a power cut, and start anew.
func (p *play) kill() {
	for at, c := range p.sessions {
		if c != nil {
			c.Close()
		}
		p.sessions[at], p.open[at], p.broken[at] = nil, false, false
	}
	if err := p.server.Kill(); err != nil {
		p.Errorf("kill: %v", err)
	}
	if err := p.server.Restart(p.Context()); err != nil {
		p.Fatalf("restart: %v", err)
	}
	if r := p.reading; r != nil {
		p.reading = nil
		r.cancel() // one of no table, as all are refused, does not notice
		<-r.done
	}
}

// compare says which tables that are followed have other rows than the mirror has of them.
func (p *play) compare() (differs string) {
	tables, err := p.m.src.Discover(p.Context())
	if err != nil {
		return fmt.Sprintf("discover: %v", err)
	}
	for _, name := range p.m.taken {
		at := slices.IndexFunc(tables, func(t driver.Table) bool { return t.Name == name && t.Namespace == p.name })
		if p.m.refused[name] != nil || at < 0 || p.m.tables[name].after == "" {
			continue
		}
		if how := p.odd[name]; how != "" {
			differs += name + ": " + how + "\n"
		}
		rows, err := rowsOf(p, p.m.src, tables[at], false)
		if err != nil {
			return fmt.Sprintf("read %s: %v", name, err)
		}
		text := func(rows [][]string) (all []string) {
			for _, row := range rows {
				row = slices.Clone(row)
				for i, v := range row {
					if len(v) > 60 {
						row[i] = fmt.Sprintf("%.20s... (%d, %x)", v, len(v), md5.Sum([]byte(v)))
					}
				}
				for i, c := range tables[at].Columns {
					if i < len(row) && strings.HasPrefix(c.Name, "gen") && (p.kept || p.version < 18) {
						row[i] = "" // the log does not have it
					}
				}
				all = append(all, strings.Join(row, "|"))
			}
			slices.Sort(all)
			return all
		}
		got, want := text(slices.Collect(maps.Values(p.m.tables[name].rows))), text(rows)
		if !slices.Equal(got, want) {
			differs += fmt.Sprintf("%s has %d rows, want %d: only here %q, only there %q\n", name, len(got), len(want), without(got, want), without(want, got))
		}
	}
	return differs
}

func without(all, others []string) (rest []string) {
	for _, one := range all {
		if !slices.Contains(others, one) {
			rest = append(rest, one)
		}
	}
	return rest
}
