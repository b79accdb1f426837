package handlers

import (
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing/buckettest"
	"headwater/projections"
)

// purged lands the source in a bucket, purges it while the store has the faults,
// and returns what became of it.
func (w *world) purged(proxy *buckettest.Proxy, faults ...buckettest.Fault) (projections.Target, event.Destruction) {
	w.t.Helper()
	w.connect()
	w.do(w.syncCommand(command.SyncOptions{}))
	proxy.Set(faults...)
	g := w.remove(true).Targets[0]
	if g.Result == nil || g.Result.Destruction == nil {
		w.t.Fatalf("nothing is told of the files: %+v", g)
	}
	return g, *g.Result.Destruction
}

// A purge says what was removed only where it is not there any more: whatever the
// store answers, what is still listed remains, is told in the store's words, and
// goes as soon as it can.
func TestPurgeSaysWhatIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		faults []buckettest.Fault
		says   string
	}{
		"a removal without effect": {[]buckettest.Fault{{Method: "POST", Key: "delete", Kind: "void"}, {Method: "DELETE", Kind: "void"}}, "still there after it was removed"},
		"a removal refused":        {[]buckettest.Fault{{Method: "POST", Key: "delete", Kind: "403 AccessDenied"}, {Method: "DELETE", Kind: "403 AccessDenied"}}, "403 AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			w, proxy := bucketWorld(t, quick())
			g, d := w.purged(proxy, c.faults...)
			if g.Status != projections.StatusFailed || g.Reason != event.ReasonStorage || !strings.Contains(g.Message, c.says) || !strings.Contains(g.Message, "tried again") {
				t.Errorf("%s, %s: %q", g.Status, g.Reason, g.Message)
			}
			if d.Status != event.FilesRemaining || d.Files != 0 || d.Remaining == 0 || d.Kept != 0 {
				t.Errorf("%+v", d)
			}
			proxy.Set()
			w.eventually("what is left to go", func() bool {
				outcome := last[*event.SourceDestroyed](w)
				return outcome.Status == event.Destroyed && outcome.Files == d.Remaining && !outcome.Operation.Final
			})
		})
	}
}

// Of a bucket that keeps versions all are removed; where that cannot be, it is
// said that the bucket keeps them.
func TestPurgeOfVersions(t *testing.T) {
	for name, c := range map[string]struct {
		faults []buckettest.Fault
		keeps  bool
	}{
		"all":               {nil, false},
		"not to be seen":    {[]buckettest.Fault{{Key: "versions", Kind: "403 AccessDenied"}}, true},
		"not to be removed": {[]buckettest.Fault{{Method: "POST", Key: "delete", Kind: "501 NotImplemented"}, {Method: "DELETE", Key: "versionId", Kind: "403 AccessDenied"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := buckettest.NewProxy(t, buckettest.StartVersioned(t, "lab"))
			w := newWorldOn(t, "s3://lab/lake?region=us-east-1&endpoint="+proxy.URL, quick())
			g, d := w.purged(proxy, c.faults...)
			if g.Status != projections.StatusCompleted || d.Status != event.Destroyed || d.Files == 0 || d.Remaining != 0 || (d.Kept > 0) != c.keeps || strings.Contains(d.Message, "the bucket keeps") != c.keeps {
				t.Errorf("%s %s: %+v", g.Status, g.Message, d)
			}
		})
	}
}
