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
