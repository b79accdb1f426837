package landing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/buckettest"
	"headwater/handlers/landing/storage"
	"headwater/handlers/landing/sweep"
)

func bucketLake(t *testing.T, folder string) (*Lake, *buckettest.Proxy) {
	t.Helper()
	proxy := buckettest.NewProxy(t, buckettest.Start(t, "lab"))
	l := openLakeAt(t, "s3://lab/"+folder+"?region=us-east-1&endpoint="+proxy.URL, kvtest.New())
	return l, proxy
}

func TestS3Tour(t *testing.T) {
	proxy := buckettest.NewProxy(t, buckettest.Start(t, "lab"))
	for _, folder := range []string{"plain", "it's/a+b=c", "my%20lake"} {
		bucketTour(t, "s3://lab/"+folder+"?region=us-east-1&endpoint="+proxy.URL)
	}
}

// A store that can less than Amazon's is as good a lake.
func TestPlainS3(t *testing.T) {
	proxy := buckettest.NewProxy(t, buckettest.Start(t, "lab"))
	proxy.Plain = true
	url := "s3://lab/plain?region=us-east-1&endpoint=" + proxy.URL
	bucketTour(t, url)
	l := openLakeAt(t, url, kvtest.New())
	if err := l.Own(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := l.Owned(t.Context()); err != nil {
		t.Fatal(err)
	}
	big, err := l.files.Create(l.root + "/big.parquet")
	if err != nil {
		t.Fatal(err)
	}
	big.Write(make([]byte, 17<<20))
	if err := big.Close(); err != nil {
		t.Fatal(err)
	}
}

// What passes is ridden out, and the rows are exact.
func TestFaultsThatPass(t *testing.T) {
	l, proxy := bucketLake(t, "passing")
	fence := uint64(0)
	for _, kind := range []string{"503 SlowDown", "500 InternalError", "429 TooManyRequests", "reset", "lost"} {
		for _, method := range []string{"PUT", "GET"} {
			proxy.Set(buckettest.Fault{Method: method, Kind: kind, Times: 1})
			fence++
			w := begin(t, l, full(fence, "syn_"+newNonce()))
			write(t, w, 0, 100)
			commit(t, w, nil, true)
			wantIDs(t, l, span(0, 100))
		}
	}
	if parts, _ := files(t, l); len(parts) == 0 {
		t.Error("no parts")
	}
}

// A half answer is noticed and read again.
func TestFaultOfHalfABody(t *testing.T) {
	l, proxy := bucketLake(t, "half")
	w := begin(t, l, full(1, "syn_1"))
	write(t, w, 0, 1000)
	commit(t, w, nil, true)
	proxy.Set(buckettest.Fault{Method: "GET", Key: ".parquet", Kind: "half", Times: 2})
	wantIDs(t, l, span(0, 1000))
}

// What stays is told at once, in the store's own words.
func TestFaultsThatStay(t *testing.T) {
	l, proxy := bucketLake(t, "staying")
	for _, kind := range []string{"403 AccessDenied", "404 NoSuchBucket", "403 InvalidAccessKeyId", "301 PermanentRedirect"} {
		proxy.Set(buckettest.Fault{Kind: kind})
		proxy.Requests()
		_, err := l.Begin(t.Context(), full(1, "syn_1"))
		var said *bucket.Error
		if !errors.Is(err, ErrStorage) || !errors.As(err, &said) || !said.Lasting || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s: %v", kind, err)
		}
		if n, _ := proxy.Requests(); n > 1 {
			t.Errorf("%s was asked for %d times", kind, n)
		}
		if err != nil && strings.Contains(err.Error(), buckettest.SecretKey) {
			t.Error("a secret was told")
		}
	}
}

// A store that never answers holds nobody past its own limit.
func TestFaultsOfSilence(t *testing.T) {
	for _, key := range []string{".metadata.json", ".parquet", ".avro"} {
		l, proxy := bucketLake(t, "silent"+strings.Trim(key, "."))
		proxy.Set(buckettest.Fault{Method: "PUT", Key: key, Kind: "silent"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		began := time.Now()
		w, err := beginEncoding(ctx, l, full(1, "syn_1"))
		if err == nil {
			rec := rows(0, 100)
			err = w.Write(ctx, rec)
			rec.Release()
			if err == nil {
				_, err = w.Commit(ctx, nil, true)
			}
			proxy.Set()
			w.Abort(context.Background())
		}
		cancel()
		if err == nil || time.Since(began) > 2*tooLong {
			t.Errorf("%s: %v after %v", key, err, time.Since(began))
		}
		if parts, _ := files(t, l); len(parts) != 0 {
			t.Errorf("%s: left %v", key, parts)
		}
	}
}

// Uploads that were never ended go with the next sweep.
func TestSweepEndsUploads(t *testing.T) {
	l, _ := bucketLake(t, "uploads")
	w := begin(t, l, full(1, "syn_1"))
	left, err := w.Files().Create(w.NextName())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := left.Write(make([]byte, 17<<20)); err != nil {
		t.Fatal(err)
	}
	if n := uploadsOf(t, l); n != 1 {
		t.Fatalf("%d uploads before the sweep", n)
	}
	begin(t, l, full(2, "syn_2"))
	if n := uploadsOf(t, l); n != 0 {
		t.Errorf("%d uploads after the sweep", n)
	}
	stopped, err := w.Files().Create(w.NextName())
	if err != nil {
		t.Fatal(err)
	}
	stopped.Write(make([]byte, 17<<20))
	stopped.(interface{ Abort() }).Abort()
	if err := stopped.Close(); err == nil {
		t.Error("a stopped upload was completed")
	}
	if n := uploadsOf(t, l); n != 0 {
		t.Errorf("%d uploads after one was stopped", n)
	}
}

func uploadsOf(t *testing.T, l *Lake) (n int) {
	t.Helper()
	err := l.files.(*bucket.Bucket).AbortUploads(l.root, func(string) bool { n++; return false })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mergedOrders(fence uint64, sync string) Target {
	target := incremental(fence, sync)
	target.Merge, target.Key = true, []string{"id"}
	return target
}

// The requests of each kind of sync are no more than these.
func TestRequestsOfASync(t *testing.T) {
	l, proxy := bucketLake(t, "requests")
	fence := uint64(0)
	for _, s := range []struct {
		name   string
		target func(uint64, string) Target
		from   int64
		to     int64
		most   int
	}{
		{"first full", full, 0, 10, 5},
		{"full again", full, 0, 10, 7},
		{"incremental, first", incremental, 0, 10, 7},
		{"incremental, 10 rows", incremental, 10, 20, 4},
		{"incremental, nothing new", incremental, 20, 20, 2},
		{"merge of 10 rows", mergedOrders, 15, 25, 10},
	} {
		proxy.Requests()
		fence++
		w := begin(t, l, s.target(fence, "syn_"+newNonce()))
		if s.to > s.from {
			write(t, w, s.from, s.to)
		}
		var next *driver.Cursor
		if w.target.Mode == Incremental {
			next = behind(max(s.to-1, 0))
		}
		commit(t, w, next, true)
		if n, by := proxy.Requests(); n > s.most {
			t.Errorf("%s: %d requests %v, want at most %d", s.name, n, by, s.most)
		} else {
			t.Logf("%s: %d requests %v", s.name, n, by)
		}
	}
	if _, err := l.Drop(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	if n, by := proxy.Requests(); n > 8 {
		t.Errorf("drop: %d requests %v", n, by)
	}
}

// A table whose metadata somebody has removed is started over by a sync that
// replaces it, and by no other.
func TestMetadataThatIsGone(t *testing.T) {
	for _, url := range []string{t.TempDir(), "s3"} {
		l := &Lake{}
		if url == "s3" {
			l, _ = bucketLake(t, "gone")
		} else {
			l = openLakeAt(t, url, kvtest.New())
		}
		w := begin(t, l, full(1, "syn_1"))
		write(t, w, 0, 10)
		commit(t, w, nil, true)
		found, err := storage.List(l.files, l.root)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if sweep.IsMetadata(f.Base) {
				if err := storage.Remove(l.files, f.Name); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := l.Begin(t.Context(), incremental(2, "syn_2")); !errors.Is(err, ErrStorage) {
			t.Errorf("%s: an incremental sync begins: %v", url, err)
		}
		w = begin(t, l, full(3, "syn_3"))
		write(t, w, 5, 20)
		commit(t, w, nil, true)
		wantIDs(t, l, span(5, 20))
		if parts, _ := files(t, l); len(parts) != 1 {
			t.Errorf("%s: parts %v", url, parts)
		}
	}
}

// The latency of a store is waited for few times: what may be side by side is.
func TestRoundsOfASync(t *testing.T) {
	var late []string
	// What a busy machine sends side by side may come one after another; a longer latency
	// tells that from a request that waits for another.
	for _, latency := range []time.Duration{40 * time.Millisecond, 200 * time.Millisecond, time.Second} {
		if late = roundsBeyond(t, latency); len(late) == 0 {
			return
		}
	}
	t.Errorf("at any latency: %s", strings.Join(late, "; "))
}

// roundsBeyond returns which syncs waited for a store's latency more often than they may.
func roundsBeyond(t *testing.T, latency time.Duration) (late []string) {
	t.Helper()
	l, proxy := bucketLake(t, "rounds")
	fence := uint64(0)
	for i, s := range []struct {
		name   string
		target func(uint64, string) Target
		from   int64
		to     int64
		most   int
	}{
		{"first", mergedOrders, 0, 10, 4}, // the empty table; data; manifest and list; metadata
		{"second", mergedOrders, 10, 20, 3},
		{"third", mergedOrders, 20, 30, 3},
		{"incremental, 10 rows", incremental, 30, 40, 3},
		{"incremental, nothing new", incremental, 40, 40, 2},
		{"merge", mergedOrders, 5, 30, 4}, // data; deletes; manifests and list; metadata
		{"merge after a restart", mergedOrders, 5, 45, 9},
		{"full", full, 0, 10, 3},
	} {
		if s.name == "merge after a restart" {
			l = openLakeAt(t, "s3://lab/rounds?region=us-east-1&endpoint="+proxy.URL, l.kv)
		}
		proxy.Set(buckettest.Fault{Kind: "slow", Delay: latency})
		proxy.Requests()
		fence = uint64(i + 1)
		w := begin(t, l, s.target(fence, "syn_"+newNonce()))
		if s.to > s.from {
			write(t, w, s.from, s.to)
		}
		var next *driver.Cursor
		if w.target.Mode == Incremental {
			next = behind(max(s.to-1, 0))
		}
		commit(t, w, next, true)
		rounds := proxy.Rounds()
		n, _ := proxy.Requests()
		t.Logf("%s: %d requests in %d rounds", s.name, n, rounds)
		if rounds > s.most {
			late = append(late, fmt.Sprintf("%s: %d requests in %d rounds, want at most %d", s.name, n, rounds, s.most))
		}
	}
	return late
}
