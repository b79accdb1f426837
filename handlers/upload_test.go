package handlers

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/buckettest"
)

// bucketWorld is a world whose lake is a bucket behind a proxy.
func bucketWorld(t *testing.T, o Options) (*world, *buckettest.Proxy) {
	t.Helper()
	proxy := buckettest.NewProxy(t, buckettest.Start(t, "lab"))
	return newWorldOn(t, "s3://lab/lake?region=us-east-1&endpoint="+proxy.URL, o), proxy
}

// Where the lake takes less than the source sends, progress follows the lake: what
// is told to be left is what it takes, within a factor, and what is waited for is
// the upload, never the source. The idle limit does not end what moves.
func TestProgressFollowsASlowLake(t *testing.T) {
	var wrong []string
	for range 3 { // what a machine's other work makes of an estimate passes
		if wrong = progressWrong(t); len(wrong) == 0 {
			return
		}
		t.Logf("it is tried again: %s", strings.Join(wrong, "\n"))
	}
	t.Errorf("each time: %s", strings.Join(wrong, "\n"))
}

// progressWrong returns what the progress of a sync to a slow lake said that is not so.
func progressWrong(t *testing.T) (wrong []string) {
	t.Helper()
	not := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	o := quick()
	o.ProgressEvery, o.IdleLimit, o.TellEvery = 200*time.Millisecond, 4*time.Second, 50*time.Millisecond
	w, proxy := bucketWorld(t, o)
	w.source.put("orders", 16_000, column("noise", driver.String))
	w.connect()
	proxy.Set(buckettest.Fault{Method: "PUT", Key: ".parquet", Kind: "narrow", Rate: 2 << 20})
	c := w.syncCommand(command.SyncOptions{BatchSize: 500})
	w.send(c)
	type sight struct {
		at       time.Time
		text     string
		progress struct {
			Fraction *float64 `json:"fraction"`
			ETA      *int64   `json:"eta_seconds"`
			Waiting  *string  `json:"waiting_since"`
			For      string   `json:"waiting_for"`
			Uploaded int64    `json:"bytes_uploaded"`
		}
	}
	var seen []sight
	w.eventually("the sync to end", func() bool {
		time.Sleep(100 * time.Millisecond)
		y, err := w.store.Sync("acme", "w1", c.SyncID)
		if err != nil {
			return false
		}
		s := sight{at: time.Now()}
		var doc struct {
			Progress any `json:"progress"`
		}
		doc.Progress = &s.progress
		w.check(json.Unmarshal(y.JSON, &doc))
		raw, _ := json.Marshal(doc.Progress)
		s.text = string(raw)
		seen = append(seen, s)
		return y.Ended()
	})
	end := seen[len(seen)-1]
	if end.progress.For != "" || end.progress.Uploaded < 10<<20 {
		not("at the end: %+v", end.progress)
	}
	uploads, judged := 0, 0
	for _, s := range seen {
		t.Logf("%5.1fs left: %s", end.at.Sub(s.at).Seconds(), s.text)
		if s.progress.For == event.WaitingUpload {
			uploads++
		}
		if s.progress.Waiting != nil && s.progress.For == event.WaitingUpload {
			not("it is said to wait for the source: %+v", s.progress)
		}
		left := end.at.Sub(s.at).Seconds()
		if began := s.at.Sub(seen[0].at).Seconds(); began < 2.5 || left < 1.5 || s.progress.ETA == nil {
			continue
		}
		judged++
		if eta := float64(*s.progress.ETA); eta < left/3-1 || eta > left*3+2 {
			not("%.1f s before the end it says %.0f s", left, eta)
		}
	}
	if op := w.ended(c); op.Status != "completed" {
		not("%+v", op.Targets)
	}
	if uploads < len(seen)/3 || judged < 5 {
		not("of %d looks %d told of the upload, and %d said what is left", len(seen), uploads, judged)
	}
	return wrong
}
