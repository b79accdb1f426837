package bucket_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/buckettest"
)

// An upload takes the memory of three parts, however large it is, and many at
// once take less than that each.
func TestMemoryOfUploads(t *testing.T) {
	proxy := buckettest.NewProxy(t, buckettest.Start(t, "lab"))
	proxy.Set(buckettest.Fault{Kind: "slow", Delay: 50 * time.Millisecond}) // the store is the slow side
	b, err := bucket.Open(t.Context(), "lab", bucket.Settings{Endpoint: proxy.URL, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	piece := make([]byte, 256<<10)
	upload := func(name string) error {
		w, err := b.Create("s3://lab/" + name)
		if err != nil {
			return err
		}
		for range size / len(piece) {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return w.Close()
	}
	for _, c := range []struct{ uploads, most int }{{1, 24}, {8, 8*8 + 6*8}} {
		uploads := c.uploads
		if testing.Short() && uploads > 1 {
			uploads, c.most = 4, 4*8+6*8
		}
		grown := peak(t.Context(), func() {
			var wg sync.WaitGroup
			for i := range uploads {
				wg.Go(func() {
					if err := upload(fmt.Sprint(uploads, "/", i, ".parquet")); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}) >> 20
		if grown > uint64(c.most) {
			t.Errorf("%d uploads took %d MiB, want at most %d", uploads, grown, c.most)
		} else {
			t.Logf("%d uploads took %d MiB", uploads, grown)
		}
	}
}

// peak returns by how much the heap grew at most while do ran. Garbage is
// collected all the time.
func peak(ctx context.Context, do func()) (most uint64) {
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
			time.Sleep(5 * time.Millisecond)
		}
	})
	do()
	stop()
	wg.Wait()
	return most - min(most, before.HeapAlloc)
}
