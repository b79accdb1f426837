package storage

import (
	"context"
	"io/fs"
	"os"
	"time"
)

// A folder may be a mount whose server does not answer. Nothing ends a call of
// it, so whoever waits for one leaves it behind when the context ends.

// Tidying is how long files are removed after the context has ended.
const Tidying = 4 * time.Second

// within returns the disk with calls that nobody waits for once ctx has ended.
func (d Disk) within(ctx context.Context) Disk {
	if ctx.Done() == nil {
		ctx = nil
	}
	d.ctx = ctx
	return d
}

// tidies runs what also removes what the work has left: it has some time when
// the context has ended already.
func (d Disk) tidies(op, path string, do func() error) error {
	if d.ctx != nil && d.ctx.Err() != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), Tidying)
		defer cancel()
		d.ctx = late
	}
	_, err := within(d, op, path, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// within runs a call of the folder; the error says so when the context ended
// before the folder answered. The call goes on then, and its outcome is lost: a
// file that it makes all the same is the sweep's.
func within[T any](d Disk, op, path string, call func() (T, error)) (T, error) {
	if d.ctx == nil {
		return call()
	}
	var none T
	if err := d.ctx.Err(); err != nil {
		return none, &fs.PathError{Op: op, Path: path, Err: err}
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		if d.Seam != nil {
			d.Seam(op)
		}
		value, err := call()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-d.ctx.Done():
		return none, &fs.PathError{Op: op, Path: path, Err: d.ctx.Err()}
	}
}

// boundFile is a file whose reads end with a context.
type boundFile struct {
	*os.File
	disk Disk
}

// Unbound returns the file without the context.
func (f *boundFile) Unbound() *os.File { return f.File }

func (f *boundFile) Read(p []byte) (int, error) {
	return f.read(p, func(into []byte) (int, error) { return f.File.Read(into) })
}

func (f *boundFile) ReadAt(p []byte, off int64) (int, error) {
	return f.read(p, func(into []byte) (int, error) { return f.File.ReadAt(into, off) })
}

// read reads into memory of its own: a read that was left behind must not write
// to what its caller has used for something else since.
func (f *boundFile) read(p []byte, call func([]byte) (int, error)) (int, error) {
	into := make([]byte, len(p))
	n, err := within(f.disk, "read", f.Name(), func() (int, error) { return call(into) })
	copy(p, into[:n])
	return n, err
}
