package changes

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

// What a continuous sync must reach: from a commit at the source to readers of the lake.
const (
	visibleMedian = 1500 * time.Millisecond
	visibleMost   = 3 * time.Second // of 99 in 100
	visibleBefore = 500_000         // rows that are there before

	visibleEvery   = 10 * time.Millisecond // between two transactions
	visibleInserts = 7                     // of a transaction
	visibleUpdates = 3
	visibleWarm    = 10 * time.Second // not measured
	visibleRun     = 12 * time.Second // measured, by each of the runs
	visibleLook    = 25 * time.Millisecond
	visibleWait    = time.Minute // for the last ones
)

// written is a transaction that was committed, and seen a look at the table.
type (
	written struct {
		began time.Time // just before it was sent
		rows  int64     // that the table has with it
	}
	seen struct {
		at   time.Time // when the answer was there
		rows int64     // that readers of the table see
	}
)

// Visible measures how long after its commit at the source a change is seen by readers
// of the lake, with a steady load on a source that is synced continuously.
func Visible(ctx context.Context, b *rig.Rig) ([]report.Row, error) {
	c, err := capture(ctx, b, "visible", b.Rows(visibleBefore))
	if err != nil {
		return nil, err
	}
	defer c.close()
	if _, err := c.sync(ctx); err != nil {
		return nil, err
	}
	path := "sources/" + c.source + "/schedule"
	var answer json.RawMessage
	if err := c.s.Call(ctx, "PUT", path, rig.Object{"continuous": true, "sync_options": rig.Object{"mode": "cdc", "max_delay": "1s"}}, &answer); err != nil {
		return nil, err
	}
	table, err := tableURL(ctx, c.s, c.source)
	if err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	looks := make(chan []seen, 1)
	go func() {
		looks <- watchTable(watching, c.s, table, func(rows int64) bool { return rows >= int64(c.rows) }, visibleWait)
	}()
	cpu := processes.CPU(c.pid())
	all, err := c.write(ctx, visibleWarm+time.Duration(b.Runs)*visibleRun)
	cpu = processes.CPU(c.pid()) - cpu
	stop()
	if err != nil {
		return nil, err
	}
	lags, err := lagsOf(all, <-looks)
	if err != nil {
		return nil, err
	}
	took := all[len(all)-1].began.Sub(all[0].began)
	rate := float64((len(all)-1)*(visibleInserts+visibleUpdates)) / took.Seconds()
	p50, p99 := lags[len(lags)/2], lags[len(lags)*99/100]
	b.Say("%d transactions, %.0f changes/s, %.2f s of CPU a second: after %.2f s half of them, %.2f s 99 %%, %.2f s all", len(lags), rate, cpu.Seconds()/took.Seconds(), p50.Seconds(), p99.Seconds(), lags[len(lags)-1].Seconds())
	if err := c.s.Call(ctx, "DELETE", path, rig.Object{}, &answer); err != nil {
		return nil, err
	}
	if err := idle(ctx, c.s); err != nil {
		return nil, err
	}
	return []report.Row{{
		Work: fmt.Sprintf("PostgreSQL, continuous, `max_delay` 1s, %.0f changes/s: from the commit to readers of the lake", rate),
		Ours: fmt.Sprintf("p50 %.2f s, p99 %.2f s", p50.Seconds(), p99.Seconds()), Limit: "-", Ratio: "-",
		Target: fmt.Sprintf("p50 at most %.1f s, p99 %.1f s", visibleMedian.Seconds(), visibleMost.Seconds()), OK: p50 <= visibleMedian && p99 <= visibleMost,
	}}, c.equal(ctx)
}

// write commits a transaction at each tick for so long. One that comes late does not
// move those behind it.
func (c *captured) write(ctx context.Context, long time.Duration) ([]written, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var all []written
	start, before := time.Now(), c.rows
	for next := start; next.Sub(start) < long; next = next.Add(visibleEvery) {
		if wait := time.Until(next); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		began := time.Now()
		// Both statements of one query are one transaction.
		_, err := conn.Exec(ctx, fmt.Sprintf(`insert into %[1]s select %[2]d + i, i, i*0.01, clock_timestamp(), 'new ' || i from generate_series(1, %[3]d) i;
			update %[1]s set amount = amount + 1, at = clock_timestamp() where id in (select 1 + ((%[2]d + i) * 15485863::bigint) %% %[5]d from generate_series(1, %[4]d) i)`,
			capturedName, c.rows, visibleInserts, visibleUpdates, before)).ReadAll()
		if err != nil {
			return nil, err
		}
		c.rows += visibleInserts
		all = append(all, written{began, int64(c.rows)})
	}
	return all, nil
}

// lagsOf returns how long it took until each transaction behind the warm-up was seen,
// in order.
func lagsOf(all []written, looks []seen) ([]time.Duration, error) {
	var lags []time.Duration
	at := 0
	for _, w := range all {
		for at < len(looks) && looks[at].rows < w.rows {
			at++
		}
		if at == len(looks) {
			return nil, fmt.Errorf("row %d was not seen within %s of the end", w.rows, visibleWait)
		}
		if w.began.Sub(all[0].began) >= visibleWarm {
			lags = append(lags, looks[at].at.Sub(w.began))
		}
	}
	slices.Sort(lags)
	return lags, nil
}

// tableURL returns where the catalog tells of the one table of a source.
func tableURL(ctx context.Context, s *rig.Service, source string) (string, error) {
	base := s.Base + "/iceberg/v1/bench/namespaces"
	var list struct{ Namespaces [][]string }
	if err := get(ctx, s, base, &list); err != nil {
		return "", err
	}
	for _, n := range list.Namespaces {
		at := base + "/" + url.PathEscape(n[0])
		var one struct{ Properties map[string]string }
		if err := get(ctx, s, at, &one); err != nil {
			return "", err
		}
		if one.Properties["source_id"] == source {
			return at + "/tables/" + capturedName + "?snapshots=refs", nil
		}
	}
	return "", fmt.Errorf("the catalog does not have %s", source)
}

// watchTable looks at a table again and again until ctx ends, and then until done or
// for as long as it may. It returns the looks that found other rows than the one before.
func watchTable(ctx context.Context, s *rig.Service, table string, done func(rows int64) bool, most time.Duration) (all []seen) {
	looking := context.WithoutCancel(ctx)
	var until time.Time
	for {
		if ctx.Err() != nil && until.IsZero() {
			until = time.Now().Add(most)
		}
		// A look that fails sees nothing; the rows are late then.
		if rows, err := rowsSeen(looking, s, table); err == nil && (len(all) == 0 || all[len(all)-1].rows != rows) {
			all = append(all, seen{time.Now(), rows})
		}
		if !until.IsZero() && (time.Now().After(until) || len(all) > 0 && done(all[len(all)-1].rows)) {
			return all
		}
		time.Sleep(visibleLook)
	}
}

// rowsSeen asks the catalog how many rows readers of a table see now.
func rowsSeen(ctx context.Context, s *rig.Service, table string) (int64, error) {
	var loaded struct {
		Metadata struct {
			Current   int64 `json:"current-snapshot-id"`
			Snapshots []struct {
				ID      int64             `json:"snapshot-id"`
				Summary map[string]string `json:"summary"`
			}
		}
	}
	if err := get(ctx, s, table, &loaded); err != nil {
		return 0, err
	}
	for _, snapshot := range loaded.Metadata.Snapshots {
		if snapshot.ID == loaded.Metadata.Current {
			records, err := strconv.ParseInt(snapshot.Summary["total-records"], 10, 64)
			if err != nil {
				return 0, err
			}
			gone, err := strconv.ParseInt(cmp.Or(snapshot.Summary["total-position-deletes"], "0"), 10, 64)
			return records - gone, err
		}
	}
	return 0, fmt.Errorf("%s has no snapshot", table)
}

// get reads a document that is not of the API's own form.
func get(ctx context.Context, s *rig.Service, from string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: answer %d", from, res.StatusCode)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// idle waits until no sync runs.
func idle(ctx context.Context, s *rig.Service) error {
	for range 600 {
		var syncs []json.RawMessage
		if err := s.Call(ctx, "GET", "syncs?scope=user&status=running", nil, &syncs); err != nil {
			return err
		}
		if len(syncs) == 0 {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("a sync still runs after a minute")
}
