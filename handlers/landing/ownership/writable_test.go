package ownership

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/buckettest"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/storage"
)

// ownerOf returns the owner of a lake without a table.
func ownerOf(t *testing.T, url string) *Owner {
	t.Helper()
	files, root, err := storage.Open(t.Context(), url, 0o640, bucket.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := files.(io.Closer); ok {
		t.Cleanup(func() { c.Close() })
	}
	keys := kvtest.New()
	return New(keys, kvcatalog.New(keys, files, root), root, storage.BucketOptions(url), slog.New(slog.DiscardHandler))
}

// What of a lake cannot be written is told in the store's own words, and looked
// at anew after a while.
func TestWritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lake")
	o := ownerOf(t, dir)
	now := time.Now()
	o.now = func() time.Time { return now }
	if err := o.Writable(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := o.Writable(t.Context()); err != nil {
		t.Errorf("asked again at once: %v", err)
	}
	now = now.Add(probeEvery)
	if err := o.Writable(t.Context()); !errors.Is(err, parts.ErrStorage) || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a lake that is a file: %v", err)
	}
}

// What a store refuses is told as it said it, also by what asks whether the lake
// can be written.
func TestWritableSaysWhatTheStoreSaid(t *testing.T) {
	proxy := buckettest.NewProxy(t, buckettest.Start(t, "lab"))
	o := ownerOf(t, "s3://lab/told?region=us-east-1&endpoint="+proxy.URL)
	for _, kind := range []string{"403 AccessDenied", "404 NoSuchBucket", "301 PermanentRedirect"} {
		o.probe = &probe{}
		proxy.Set(buckettest.Fault{Method: "PUT", Kind: kind})
		err := o.Writable(t.Context())
		var said *bucket.Error
		if !errors.As(err, &said) || !strings.HasPrefix(said.Told(), "PutObject told/headwater-probe-") || !strings.HasSuffix(said.Told(), ": "+kind) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	proxy.Set()
	o.probe.at = time.Time{}
	if err := o.Writable(t.Context()); err != nil {
		t.Error(err)
	}
}
