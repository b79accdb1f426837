package landing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/bucket"
	"headwater/handlers/landing/buckettest"
	"headwater/handlers/landing/ownership"
	"headwater/handlers/landing/storage"
)

// The folder of a bucket's URL is the key as written, or refused with the
// reason.
func TestFoldersOfABucket(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lab"), 0o755); err != nil {
		t.Fatal(err)
	}
	buckettest.Start(t, "unused") // for its keys
	server := buckettest.Over(t, dir, buckettest.AccessKey, buckettest.SecretKey)
	for _, folder := range []string{"a/b", "my%20lake", "a+b&c=d", "it's", "~x", "a..b", ".hidden", "key=value/y", "(1)", "a;b,c@d:e$f!g*h"} {
		l := openLakeAt(t, "s3://lab/"+folder+"?region=us-east-1&endpoint="+server, kvtest.New())
		if err := l.Own(t.Context(), ""); err != nil {
			t.Errorf("%q: %v", folder, err)
			continue
		}
		if l.Location() != "s3://lab/"+folder || l.Bucket()["endpoint"] != server {
			t.Errorf("%q lies in %q, options %v", folder, l.Location(), l.Bucket())
		}
		w := begin(t, l, full(1, "syn_1"))
		write(t, w, 0, 10)
		commit(t, w, nil, true)
		wantIDs(t, l, span(0, 10))
		if _, err := os.Stat(filepath.Join(dir, "lab", folder, ownership.MarkerName)); err != nil {
			t.Errorf("the key of %q is another: %v", folder, err)
		}
		if _, err := l.Drop(t.Context(), home); err != nil {
			t.Errorf("%q: %v", folder, err)
		}
	}
	for _, url := range []string{"s3://lab/a//b", "s3://lab//a", "s3://lab//", "s3://lab/../a", "s3://lab/a/..", "s3://lab/./a", "s3://lab/a/.", "s3://lab/a//", "s3://lab/my lake", "s3://lab/ a", "s3://lab/a ", "s3://lab/läke", "s3://lab/日本", "s3://lab/50%/x", "s3://lab/a#b", `s3://lab/a"b`, `s3://lab/a\b`, "s3://lab/a^b", "s3://lab/{a}",
		"s3://lab/a\x00b", "s3://lab/a\nb", "s3://lab/a\x7f", "s3://lab/\xff", "s3://lab/" + strings.Repeat("a", 600), "s3:///a", "s3://", "s3://key:secret@lab/a", "s3://lab/a?compat=1"} {
		_, err := Open(t.Context(), url, kvtest.New(), nil)
		if err == nil || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%q: %v", url, err)
		}
	}
	for url, root := range map[string]string{"s3://lab/a/": "s3://lab/a", "s3://lab/": "s3://lab", "s3://lab?region=x": "s3://lab"} {
		if l := openLakeAt(t, url, kvtest.New()); l.Location() != root {
			t.Errorf("%q lies in %q", url, l.Location())
		}
	}
}

// Keys that are changed in the credentials file are taken up when the store no
// longer takes the former ones: no request fails for it.
func TestKeysAreRotated(t *testing.T) {
	proxy := buckettest.NewProxy(t, buckettest.Start(t, "unused"))
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "credentials")
	if err := os.Mkdir(filepath.Join(dir, "lab"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	rotate := func(access, secret string) {
		t.Helper()
		proxy.To(t, buckettest.Over(t, dir, access, secret))
		if err := os.WriteFile(file, fmt.Appendf(nil, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", access, secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rotate("first", "first-secret")
	l := openLakeAt(t, "s3://lab/x?region=us-east-1&endpoint="+proxy.URL, kvtest.New())
	w := begin(t, l, full(1, "syn_1"))
	write(t, w, 0, 10)
	rotate("second", "second-secret") // in the middle of a sync
	commit(t, w, nil, true)
	rotate("second", "third-secret")
	wantIDs(t, l, span(0, 10))
	w = begin(t, l, full(2, "syn_2"))
	write(t, w, 0, 20)
	commit(t, w, nil, true)
	wantIDs(t, l, span(0, 20))

	// Without new keys in the file the refusal is told, after one look at it.
	proxy.To(t, buckettest.Over(t, dir, "fourth", "fourth-secret"))
	proxy.Requests()
	_, err := l.Begin(t.Context(), full(3, "syn_3"))
	if err == nil { // what it knows needs no request
		err = l.Writable(t.Context())
	}
	var said *bucket.Error
	if n, _ := proxy.Requests(); !errors.As(err, &said) || said.Code != "InvalidAccessKeyId" && said.Code != "XAdminUserNotFound" || !said.Lasting || n > 2 {
		t.Errorf("%d requests: %v", n, err)
	}
}

// tooLong is less than what the limits in these tests are in place of: 10 s to open or to
// probe a store, and more for a request.
const tooLong = 9 * time.Second

// A store that is silent when a service starts holds it up no longer than the
// limit; what would write waits for it, and finds the lake its own then.
func TestClaimOfASilentStore(t *testing.T) {
	l, proxy := bucketLake(t, "claimed")
	proxy.Set(buckettest.Fault{Kind: "silent"})
	began := time.Now()
	err := l.Claim(t.Context(), "/home", 200*time.Millisecond)
	var said *bucket.Error
	if !errors.Is(err, ErrStorage) || !errors.As(err, &said) || said.Op != "GetObject" || !strings.Contains(said.Told(), "no answer in time") {
		t.Errorf("the claim says %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := l.Begin(short, full(1, "syn_1")); !errors.Is(err, ErrStorage) {
		t.Errorf("begun on a lake that is not known: %v", err)
	}
	if took := time.Since(began); took > tooLong {
		t.Errorf("all that took %v", took)
	}
	proxy.Set()
	begin(t, l, full(1, "syn_1"))
	if marker, err := storage.ReadFile(l.files, l.root+"/"+ownership.MarkerName); err != nil || !strings.Contains(string(marker), `"home": "/home"`) {
		t.Errorf("the marker: %s, %v", marker, err)
	}

	other := openLakeAt(t, "s3://lab/claimed?region=us-east-1&endpoint="+proxy.URL, kvtest.New())
	var foreign *ForeignLakeError
	if err := other.Claim(t.Context(), "/other", time.Minute); !errors.As(err, &foreign) {
		t.Errorf("another's claim: %v", err)
	}
	if _, err := other.Begin(t.Context(), full(1, "syn_1")); !errors.As(err, &foreign) {
		t.Errorf("begun in another's lake: %v", err)
	}
}

// stalledLake is a folder whose mount stops answering to operations once held. What hold
// returns says whether one has stalled since.
func stalledLake(t *testing.T) (l *Lake, hold func(ops ...string) (stalls func() bool), dir string) {
	t.Helper()
	dir = t.TempDir()
	l = openLakeAt(t, dir, kvtest.New())
	held := make(chan []string, 1)
	held <- nil
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	var stalled atomic.Bool
	d := l.files.(storage.Disk)
	d.Seam = func(op string) {
		ops := <-held
		held <- ops
		if slices.Contains(ops, op) {
			stalled.Store(true)
			<-end
			runtime.Goexit() // the folder is removed by now
		}
	}
	l.files, l.catalog.Files = d, d
	return l, func(ops ...string) func() bool {
		<-held
		stalled.Store(false)
		held <- ops
		return stalled.Load
	}, dir
}

// A folder that does not answer holds nobody past the context, and what it was
// about to do then hurts nobody.
func TestFolderThatStalls(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "list"} {
		l, hold, _ := stalledLake(t)
		w := begin(t, l, full(1, "syn_1"))
		write(t, w, 0, 100)
		commit(t, w, nil, true)
		var err error
		reached := false
		// A busy machine may need longer to get there.
		for limit := 300 * time.Millisecond; !reached && limit < time.Minute; limit *= 4 {
			stalls := hold(op)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			began := time.Now()
			if op == "list" {
				l.Drop(ctx, home)
				_, err = storage.List(l.within(ctx).files, l.root)
			} else if w, err = beginEncoding(ctx, l, full(2, "syn_2")); err == nil {
				rec := rows(0, 200)
				err = w.Write(ctx, rec)
				rec.Release()
				if err == nil {
					_, err = w.Commit(ctx, nil, true)
				}
				w.Abort(context.Background())
			}
			cancel()
			if took := time.Since(began); took > limit+tooLong+storage.Tidying {
				t.Errorf("%s: it took %v", op, took)
			}
			reached = stalls()
			hold()
		}
		if !reached || !errors.Is(err, ErrStorage) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: it stalled: %v, and ended with %v", op, reached, err)
		}
		if op == "list" {
			continue
		}
		wantIDs(t, l, span(0, 100))
		w = begin(t, l, full(3, "syn_3"))
		write(t, w, 0, 300)
		commit(t, w, nil, true)
		wantIDs(t, l, span(0, 300))
	}
}

// A file that never answers, as of a mount that went away, is left behind: a
// named pipe that nobody writes is the real thing.
func TestFileThatStalls(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, full(1, "syn_1"))
	write(t, w, 0, 100)
	commit(t, w, nil, true)
	at, err := l.catalog.Load(t.Context(), w.ident)
	if err != nil {
		t.Fatal(err)
	}
	name, err := storage.LocalPath(at.Pointer.Location)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(name)
	if err == nil {
		err = errors.Join(os.Remove(name), syscall.Mkfifo(name, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	for doing, do := range map[string]func(context.Context) error{
		"a sync": func(ctx context.Context) error { _, err := l.Begin(ctx, full(2, "syn_2")); return err },
		"a preview": func(ctx context.Context) error {
			_, err := l.Show(ctx, home, "public", "orders", 3, Moment{})
			return err
		},
		"a count": func(ctx context.Context) error { _, err := l.Count(ctx, home, "public", "orders"); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
		began := time.Now()
		if err := do(ctx); !errors.Is(err, ErrStorage) || time.Since(began) > tooLong {
			t.Errorf("%s: %v after %v", doing, err, time.Since(began))
		}
		cancel()
	}
	// Whoever waits for the pipe gets an end, and the file is as it was.
	if pipe, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		pipe.Close()
	}
	if err := errors.Join(os.Remove(name), os.WriteFile(name, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, l, span(0, 100))
}

// A part that is missing is told of, with its name, and a full refresh does not
// need it.
func TestPartThatIsGone(t *testing.T) {
	l := openLake(t, kvtest.New())
	w := begin(t, l, mergedOrders(1, "syn_1"))
	write(t, w, 0, 100)
	commit(t, w, behind(99), true)
	parts, _ := files(t, l)
	name, err := storage.LocalPath(w.folder + "/data/" + parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	w = begin(t, l, mergedOrders(2, "syn_2"))
	write(t, w, 90, 110)
	if _, err := w.Commit(t.Context(), behind(109), true); !errors.Is(err, ErrStorage) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Base(name)) {
		t.Errorf("a merge into a file that is gone: %v", err)
	}
	w.Abort(t.Context())
	w = begin(t, l, full(3, "syn_3"))
	write(t, w, 0, 110)
	commit(t, w, nil, true)
	wantIDs(t, l, span(0, 110))
}
