package projections

import (
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// goneFS is a file system that makes no table any more once it is gone.
type goneFS struct {
	vfs.FS
	gone  atomic.Bool
	tries atomic.Int64
}

func (f *goneFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if f.gone.Load() && strings.HasSuffix(name, ".sst") {
		f.tries.Add(1)
		return nil, fs.ErrNotExist
	}
	return f.FS.Create(name, category)
}

// A disk that takes nothing any more is tried once in a while, and a stop does not wait
// for it without an end.
func TestADiskThatIsGone(t *testing.T) {
	t.Parallel()
	disk := &goneFS{FS: vfs.NewMem()}
	s := openOn(t, disk)
	apply(t, s, life(40).events...)
	disk.gone.Store(true)
	if _, err := s.db.AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err := s.Close()
	if err == nil || !strings.Contains(err.Error(), "disk") {
		t.Errorf("Close = %v", err)
	}
	took := time.Since(began)
	if n := disk.tries.Load(); n < 2 || n > 2+2*int64(took/writePause) {
		t.Errorf("the disk was tried %d times in %v", n, took)
	}
	disk.gone.Store(false)
	if again := openOn(t, disk); again.Position() != 0 {
		t.Errorf("what was not stored is at %d", again.Position())
	}
}

// tornFile is a file that takes nothing.
type tornFile struct{ vfs.File }

func (tornFile) Write([]byte) (int, error)  { return 0, fs.ErrInvalid }
func (tornFile) Sync() error                { return fs.ErrInvalid }
func (tornFile) SyncData() error            { return fs.ErrInvalid }
func (tornFile) SyncTo(int64) (bool, error) { return false, fs.ErrInvalid }

type tornFS struct{ vfs.FS }

func (f tornFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	return tornFile{file}, err
}

// What a file does not take waits, and what it takes does not.
func TestAFileThatTakesNothing(t *testing.T) {
	for want, under := range []vfs.FS{vfs.NewMem(), tornFS{vfs.NewMem()}} {
		pauses := 0
		f, err := pacedFS{under, func() { pauses++ }}.Create("a", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		for what, do := range map[string]func() error{
			"write":     func() error { _, err := f.Write([]byte("a")); return err },
			"sync":      f.Sync,
			"sync data": f.SyncData,
			"sync to":   func() error { _, err := f.SyncTo(1); return err },
		} {
			pauses = 0
			if err := do(); (err != nil) != (want == 1) || pauses != want {
				t.Errorf("%s: %v, %d pauses, want %d", what, err, pauses, want)
			}
		}
	}
}
