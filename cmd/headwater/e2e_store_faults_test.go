package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/handlers/landing/buckettest"
)

// storeFault is what happens to one sync. What it must end with is "" where
// either will do; a failure must say the words.
type storeFault struct {
	name   string
	kind   string // of the subject
	cold   bool   // the service has just started: it knows no file of the table
	faults []buckettest.Fault
	clears time.Duration // the faults end so long after the sync began
	want   string
	says   string
}

func spoil(method, key, kind string, times int) []buckettest.Fault {
	return []buckettest.Fault{{Method: method, Key: key, Kind: kind, Times: times}}
}

// shortFaults are of every sort; the whole table has the rest.
var shortFaults = []storeFault{
	{name: "PUT of a part is never answered", kind: "full", faults: spoil("PUT", ".parquet", "silent", 0), want: "failed", says: "PutObject"},
	{name: "answers to PUT are lost once each", kind: "full", faults: slices.Concat(spoil("PUT", ".parquet", "lost", 1), spoil("PUT", ".avro", "lost", 1), spoil("PUT", ".metadata.json", "lost", 1)), want: "completed"},
	{name: "503 for a while", kind: "full", faults: spoil("", "", "503 SlowDown", 0), clears: time.Second, want: "completed"},
	{name: "403 to every PUT", kind: "full", faults: spoil("PUT", "", "403 AccessDenied", 0), want: "failed", says: "PutObject lake/acme/w/ada/"},
	{name: "half answers to GET of parts, once each", kind: "merge", cold: true, faults: spoil("GET", ".parquet", "half", 2), want: "completed"},
	{name: "an error inside the 200 of a completion", kind: "big", faults: spoil("POST", "uploadId", "inner 500 InternalError", 1), want: "completed"},
}

// longFaults is the rest of the table.
func longFaults() (all []storeFault) {
	add := func(name, kind string, cold bool, want, says string, faults ...[]buckettest.Fault) {
		all = append(all, storeFault{name: name, kind: kind, cold: cold, faults: slices.Concat(faults...), want: want, says: says})
	}
	for _, key := range []string{".avro", ".metadata.json"} {
		add("PUT of "+key+" is never answered", "full", false, "failed", "PutObject", spoil("PUT", key, "silent", 0))
		add("PUT of "+key+" is reset", "merge", false, "failed", "PutObject", spoil("PUT", key, "reset", 0))
	}
	for _, key := range []string{".avro", ".metadata.json", ".parquet"} {
		for _, kind := range []string{"silent", "page", "empty", "half", "short"} {
			add(kind+" GET of "+key, "merge", true, "failed", "", spoil("GET", key, kind, 0))
			add(kind+" GET of "+key+", once", "merge", true, "completed", "", spoil("GET", key, kind, 1))
		}
		add("lost PUT of "+key, "merge", false, "completed", "", spoil("PUT", key, "lost", 1))
		add("PUT of "+key+" comes twice", "merge", false, "completed", "", spoil("PUT", key, "twice", 0))
		add("PUT of "+key+" breaks once", "full", false, "completed", "", spoil("PUT", key, "reset", 1))
	}
	for _, upload := range []struct{ name, method, key string }{{"beginning", "POST", "uploads"}, {"part", "PUT", "partNumber"}, {"completion", "POST", "uploadId"}} {
		for _, kind := range []string{"silent", "reset", "403 AccessDenied", "500 InternalError"} {
			add(kind+" at the "+upload.name+" of an upload", "big", false, "failed", "", spoil(upload.method, upload.key, kind, 0))
		}
		for _, kind := range []string{"lost", "reset", "twice", "503 SlowDown"} {
			if kind == "twice" && upload.key == "uploads" {
				continue // nobody knows of the other upload before a sweep lists it
			}
			add(kind+" at the "+upload.name+" of an upload, once", "big", false, "completed", "", spoil(upload.method, upload.key, kind, 1))
		}
	}
	add("an error inside every 200 of a completion", "big", false, "failed", "", spoil("POST", "uploadId", "inner 500 InternalError", 0))
	add("another ETag of a part", "big", false, "", "", spoil("PUT", "partNumber", "etag", 1))
	add("another ETag of a file", "full", false, "completed", "", spoil("PUT", ".parquet", "etag", 0))
	for _, kind := range []string{"silent", "short", "empty", "page", "stale", "403 AccessDenied", "500 InternalError", "reset"} {
		add(kind+" LIST", "full", false, "", "", spoil("GET", "list-type", kind, 0))
	}
	for _, kind := range []string{"silent", "void", "lost", "twice", "403 AccessDenied", "500 InternalError"} {
		add(kind+" DELETE after a refused commit", "full", false, "failed", "PutObject",
			spoil("PUT", ".metadata.json", "403 AccessDenied", 0), spoil("DELETE", "", kind, 0), spoil("POST", "delete", kind, 0))
	}
	add("HEAD is never answered", "big", false, "completed", "", spoil("HEAD", "", "silent", 0))
	for _, code := range []string{"403 AccessDenied", "403 InvalidAccessKeyId", "403 SignatureDoesNotMatch", "403 RequestTimeTooSkewed", "404 NoSuchBucket", "404 NoSuchKey",
		"400 ExpiredToken", "400 InvalidRequest", "400 EntityTooLarge", "301 PermanentRedirect", "307 TemporaryRedirect", "403 QuotaExceeded", "409 OperationAborted", "501 NotImplemented", "507 InsufficientStorage"} {
		add(code+" to every PUT", "full", false, "failed", code, spoil("PUT", "", code, 0))
	}
	for _, code := range []string{"500 InternalError", "502 BadGateway", "503 SlowDown", "503 ServiceUnavailable", "504 GatewayTimeout", "429 TooManyRequests", "400 RequestTimeout"} {
		add(code+" to every request, past the outage limit", "full", true, "failed", code, spoil("", "", code, 0))
		add(code+" to two requests", "full", true, "completed", "", spoil("", "", code, 2))
	}
	add("a redirect to itself, once", "full", false, "", "", spoil("PUT", "", "redirect", 1))
	add("every request is slow", "merge", true, "completed", "", []buckettest.Fault{{Kind: "slow", Delay: 100 * time.Millisecond}})
	all = append(all, storeFault{name: "every third request is refused", kind: "merge", faults: thirds(), want: "completed"})
	return all
}

func thirds() (all []buckettest.Fault) {
	for range 20 {
		all = append(all, buckettest.Fault{Kind: "slow", Delay: time.Millisecond, Times: 2}, buckettest.Fault{Kind: "503 SlowDown", Times: 1})
	}
	return all
}

// TestFaultsOfAStore puts a whole service on a real store that misbehaves. Each
// sync ends in time and says what the store said; whoever reads the table then
// sees the rows of before or those of after, whole; and the next sync, of the
// well store, leaves the source's rows and nothing else.
func TestFaultsOfAStore(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("HEADWATER_TEST_REQUIRE") != "" {
			t.Fatal("node is not there: run .ci/deps")
		}
		t.Skip("node is not there")
	}
	faults := shortFaults
	if !testing.Short() {
		faults = slices.Concat(faults, longFaults())
	}
	r := newBucketRun(t)
	completed, failed := 0, 0
	for i, f := range faults {
		took, status := r.suffer(f, fmt.Sprintf("s%03d", i))
		if status == "completed" {
			completed++
		} else {
			failed++
		}
		t.Logf("%-60s %-10s %5.1f s", f.name, status, took.Seconds())
	}
	t.Logf("%d faults: %d syncs completed all the same, %d failed", len(faults), completed, failed)
	r.quiet()
}

// The limits of a sync that a store makes fail: its own, and some for a machine
// that is busy.
const (
	faultTimeout = 10 * time.Second
	faultLimit   = faultTimeout + busy
)

func (r *storeRun) suffer(f storeFault, name string) (time.Duration, string) {
	r.t.Helper()
	wrong := func(format string, args ...any) {
		r.t.Helper()
		r.t.Errorf("%s: %s", f.name, fmt.Sprintf(format, args...))
	}
	s := r.connect(name, f.kind)
	if status, message := s.sync(object{}); status != "completed" {
		r.t.Fatalf("%s: the first sync: %s", f.name, message)
	}
	s.change()
	if f.cold {
		r.restart()
	}
	r.proxy.Set(f.faults...)
	if f.clears > 0 {
		timer := time.AfterFunc(f.clears, func() { r.proxy.Set() })
		defer timer.Stop()
	}
	began := time.Now()
	status, message := s.sync(object{"timeout": faultTimeout.String()})
	took := time.Since(began)
	r.proxy.Set()
	if took > faultLimit {
		wrong("it took %v", took)
	}
	if status != "completed" && status != "failed" && status != "partial" || f.want != "" && status != f.want {
		wrong("%s: %s", status, message)
	}
	if status != "completed" && !strings.Contains(message, f.says) {
		wrong("the message does not say %q: %s", f.says, message)
	}
	during := s.read()
	if !slices.Equal(during.Lines, s.want) && (status == "completed" || !slices.Equal(during.Lines, s.before)) {
		wrong("%d rows after a sync that is %s; %d are before, %d after", len(during.Lines), status, len(s.before), len(s.want))
	}
	if status, message := s.sync(object{}); status != "completed" {
		wrong("the next sync: %s", message)
	}
	after := s.read()
	if !slices.Equal(after.Lines, s.want) {
		wrong("%d rows after the next sync, want %d", len(after.Lines), len(s.want))
	}
	if len(after.left) > 0 {
		wrong("left over: %v", after.left)
	}
	if n := r.uploads(); n > 0 {
		wrong("%d uploads are left", n)
	}
	return took, status
}
