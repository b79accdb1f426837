package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/projections"
	"headwater/projections/layout"
	"headwater/projections/projectionstest"
)

// memorySnapshots keeps snapshots in memory.
type memorySnapshots struct {
	mu     sync.Mutex
	all    []SnapshotInfo
	bodies map[string][]byte
	made   int
	fail   error // of Put, after half of the body
}

func (m *memorySnapshots) List(context.Context) ([]SnapshotInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]SnapshotInfo(nil), m.all...), nil
}

func (m *memorySnapshots) Get(_ context.Context, name string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bodies[name] == nil {
		return nil, errors.New("removed meanwhile")
	}
	return io.NopCloser(bytes.NewReader(m.bodies[name])), nil
}

func (m *memorySnapshots) Put(_ context.Context, info SnapshotInfo, body io.Reader) error {
	if m.fail != nil {
		_, _ = io.CopyN(io.Discard, body, 100)
		return m.fail
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made++
	info.Name, info.Size, info.Made = fmt.Sprint("snapshot", m.made), int64(len(b)), time.Now()
	m.all = append(m.all, info)
	if m.bodies == nil {
		m.bodies = map[string][]byte{}
	}
	m.bodies[info.Name] = b
	return nil
}

func (m *memorySnapshots) Remove(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.bodies, name)
	for i, info := range m.all {
		if info.Name == name {
			m.all = append(m.all[:i], m.all[i+1:]...)
			return nil
		}
	}
	return nil
}

func (m *memorySnapshots) Sweep(context.Context) error { return nil }

// openTold opens an empty store whose log can be read.
func openTold(t *testing.T, fs vfs.FS) (*projections.Store, *strings.Builder) {
	t.Helper()
	var told strings.Builder
	s, err := projections.Open(projections.Options{Dir: "store", FS: fs, Log: slog.New(slog.NewTextHandler(&told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, &told
}

// TestSnapshots: a store that begins from a snapshot and follows from there is
// the store that replayed everything.
func TestSnapshots(t *testing.T) {
	events := projectionstest.Life(200)
	log := projectionstest.NewLog(events[:400]...)
	s := openMem(t)
	follow(t, s, log)
	kept := &memorySnapshots{}
	info, err := Snapshot(t.Context(), s, kept)
	if err != nil || info.Sequence != 400 || info.Hash != hashOf(t, s) {
		t.Fatalf("%+v, %v", info, err)
	}
	log.Add(events[400:]...)
	follow(t, s, log)

	fs := vfs.NewMem()
	fresh, told := openTold(t, fs)
	if err := Restore(t.Context(), fresh, log, kept); err != nil || fresh.Position() != 400 {
		t.Fatalf("restored at %d: %v\n%s", fresh.Position(), err, told)
	}
	decoded := 0
	log.Refuse = func(uint64) error { decoded++; return nil }
	follow(t, fresh, log)
	if hashOf(t, fresh) != hashOf(t, s) {
		t.Error("a store from a snapshot is another one")
	}
	if decoded > len(events)-400 {
		t.Errorf("%d events were replayed, %d lie behind the snapshot", decoded, len(events)-400)
	}
	if names, err := fs.List(""); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	// What holds something is not replaced, and a restart keeps it.
	if err := errors.Join(Restore(t.Context(), fresh, log, kept), fresh.Close()); err != nil {
		t.Fatal(err)
	}
	if again := openOn(t, fs); again.Position() != uint64(len(events)) || hashOf(t, again) != hashOf(t, s) {
		t.Errorf("after a restart at %d", again.Position())
	}
}

// TestUnfitSnapshots: what cannot be gone on from is passed over with the
// reason, for an older one or for history.
func TestUnfitSnapshots(t *testing.T) {
	events := projectionstest.Life(100)
	log := projectionstest.NewLog(events...)
	s := openMem(t)
	apply(t, s) // nothing yet
	if _, err := Snapshot(t.Context(), s, &memorySnapshots{}); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("a snapshot of nothing: %v", err)
	}
	old := &memorySnapshots{}
	half := projectionstest.NewLog(events[:100]...)
	follow(t, s, half)
	if _, err := Snapshot(t.Context(), s, old); err != nil {
		t.Fatal(err)
	}
	follow(t, s, log)
	for name, c := range map[string]struct {
		spoil func(*memorySnapshots, *SnapshotInfo, *projectionstest.Log)
		told  string
	}{
		"a flipped byte": {func(m *memorySnapshots, i *SnapshotInfo, _ *projectionstest.Log) { m.bodies[i.Name][i.Size/2] ^= 0x40 }, "name=snapshot2"},
		"a cut end": {func(m *memorySnapshots, i *SnapshotInfo, _ *projectionstest.Log) {
			m.bodies[i.Name] = m.bodies[i.Name][:i.Size/2]
		}, "name=snapshot2"},
		"not a snapshot": {func(m *memorySnapshots, i *SnapshotInfo, _ *projectionstest.Log) {
			m.bodies[i.Name] = bytes.Repeat([]byte("x"), 4096)
		}, "name=snapshot2"},
		"removed while it is read": {func(m *memorySnapshots, i *SnapshotInfo, _ *projectionstest.Log) { delete(m.bodies, i.Name) }, "removed meanwhile"},
		"another hash":             {func(_ *memorySnapshots, i *SnapshotInfo, _ *projectionstest.Log) { i.Hash = strings.Repeat("0", 64) }, "written down"},
		"another layout":           {func(_ *memorySnapshots, i *SnapshotInfo, _ *projectionstest.Log) { i.Layout++ }, "layout"},
		"another log":              {func(_ *memorySnapshots, i *SnapshotInfo, _ *projectionstest.Log) { i.Log = "yesterday" }, "begun at"},
		"a log that lost its end":  {func(_ *memorySnapshots, i *SnapshotInfo, l *projectionstest.Log) { l.Events = l.Events[:150] }, "ends at 150"},
	} {
		kept := &memorySnapshots{made: 1, bodies: map[string][]byte{}}
		kept.all = append(kept.all, old.all...)
		kept.bodies[old.all[0].Name] = old.bodies[old.all[0].Name]
		if _, err := Snapshot(t.Context(), s, kept); err != nil {
			t.Fatal(err)
		}
		log := projectionstest.NewLog(events...)
		c.spoil(kept, &kept.all[1], log)
		fs := vfs.NewMem()
		fresh, told := openTold(t, fs)
		if err := Restore(t.Context(), fresh, log, kept); err != nil || fresh.Position() != 100 || !strings.Contains(told.String(), c.told) {
			t.Errorf("%s: at %d, %v\n%s", name, fresh.Position(), err, told)
		}
		if names, err := fs.List(""); err != nil || len(names) != 1 {
			t.Errorf("%s: left behind: %v, %v", name, names, err)
		}
		follow(t, fresh, log)
		if name != "a log that lost its end" && hashOf(t, fresh) != hashOf(t, s) {
			t.Errorf("%s: another store", name)
		}
	}
	// A history without its beginning starts from what covers it.
	short := projectionstest.NewLog(events...)
	short.First = 101
	fresh := openMem(t)
	if err := Restore(t.Context(), fresh, short, old); err != nil || fresh.Position() != 100 {
		t.Fatalf("at %d, %v", fresh.Position(), err)
	}
	follow(t, fresh, short)
	short.First = 102
	late := openMem(t)
	if err := errors.Join(Restore(t.Context(), late, short, old), late.Follow(t.Context(), short)); !errors.Is(err, projections.ErrTruncated) || late.Position() != 0 {
		t.Errorf("a snapshot that does not reach the log: %v at %d", err, late.Position())
	}
}

// TestKeepSnapshots: as many as the policy says, no more than it keeps.
func TestKeepSnapshots(t *testing.T) {
	events := projectionstest.Life(100)
	s := openMem(t)
	log := projectionstest.NewLog()
	kept := &memorySnapshots{all: []SnapshotInfo{
		{Name: "other layout, old", Sequence: 1, Layout: layout.Version - 1, Log: projectionstest.Epoch.UTC().Format(time.RFC3339Nano)},
		{Name: "other layout", Sequence: 2, Layout: layout.Version - 1, Log: projectionstest.Epoch.UTC().Format(time.RFC3339Nano)},
		{Name: "other log", Sequence: 9, Layout: layout.Version, Log: "yesterday"},
	}}
	policy := SnapshotPolicy{Events: 50, Age: time.Hour, Keep: 2, Look: time.Minute}
	for n := 10; n <= 300; n += 10 {
		log.Add(events[n-10 : n]...)
		follow(t, s, log)
		if err := makeIfDue(t.Context(), s, kept, policy, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, info := range kept.all {
		names = append(names, fmt.Sprint(info.Name, " ", info.Sequence))
	}
	if got := strings.Join(names, ", "); got != "other layout 2, snapshot5 250, snapshot6 300" || len(kept.bodies) != 2 {
		t.Errorf("kept %s", got)
	}
	// By age, if anything happened; a failure leaves nothing behind.
	log.Add(events[300:]...)
	follow(t, s, log)
	policy.Age = 0
	kept.fail = errors.New("the disk is full")
	if err := makeIfDue(t.Context(), s, kept, policy, time.Now()); !errors.Is(err, kept.fail) || len(kept.all) != 3 {
		t.Errorf("%v, %v", err, kept.all)
	}
	kept.fail = nil
	for range 3 {
		if err := makeIfDue(t.Context(), s, kept, policy, time.Now()); err != nil || kept.made != 7 {
			t.Errorf("%d made: %v", kept.made, err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	KeepSnapshots(ctx, s, kept, policy)
}

// FuzzArchive: whatever a snapshot holds, only files of the folder are made.
func FuzzArchive(f *testing.F) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("from", 0o700); err != nil {
		f.Fatal(err)
	}
	file, err := fs.Create("from/000001.sst", vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = file.Write([]byte("content"))
		err = errors.Join(err, file.Close())
	}
	var whole bytes.Buffer
	if err := errors.Join(err, writeArchive(fs, "from", &whole)); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add(bytes.Replace(whole.Bytes(), []byte("000001.sst"), []byte("../a/1.sst"), 1))
	f.Fuzz(func(t *testing.T, body []byte) {
		to := vfs.NewMem()
		_ = readArchive(to, "dir/to", bytes.NewReader(body))
		if names, err := to.List("dir"); err != nil || len(names) != 1 || names[0] != "to" {
			t.Errorf("made %v, %v", names, err)
		}
	})
}
