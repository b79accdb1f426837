package bucket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// headSize is what opening a file reads of it, nearSize what is read around a
// place in it at least.
const (
	headSize = 1 << 20
	nearSize = 256 << 10
)

// Open reads the beginning of a file, all of a small one. A missing one is
// fs.ErrNotExist.
func (b *Bucket) Open(name string) (iceio.File, error) {
	key, err := b.key(name)
	if err != nil {
		return nil, err
	}
	if content, ok := b.cache.get(key); ok {
		return &reader{b: b, key: key, size: int64(len(content)), near: content}, nil
	}
	return b.open(name, key)
}

// Reopen is Open that answers from memory where a small file was written or read
// lately, whatever has become of it in the bucket.
func (b *Bucket) Reopen(name string) (iceio.File, error) {
	key, err := b.key(name)
	if err != nil {
		return nil, err
	}
	if content, ok := b.small.get(key); ok {
		return &reader{b: b, key: key, size: int64(len(content)), near: content}, nil
	}
	return b.Open(name)
}

func (b *Bucket) open(name, key string) (iceio.File, error) {
	f := &reader{b: b, key: key, size: -1}
	var err error
	if f.near, err = f.fetch(0, headSize); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if int64(len(f.near)) == f.size {
		b.keep(key, f.near)
	}
	return f, nil
}

// reader is a file of a bucket. Several goroutines may call ReadAt.
type reader struct {
	b        *Bucket
	key      string
	size     int64 // -1 before the first answer
	modified time.Time
	at       int64 // of Read

	mu   sync.Mutex
	near []byte // what was read last, from start on
	from int64
}

// fetch reads a range, and again where the answer broke off or is not the
// file's.
func (f *reader) fetch(from, n int64) (content []byte, err error) {
	err = f.b.insist("GetObject", f.key, func() error {
		content, err = f.once(from, n)
		return err
	})
	return content, err
}

func (f *reader) once(from, n int64) ([]byte, error) {
	in := &s3.GetObjectInput{Bucket: &f.b.name, Key: &f.key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", from, from+n-1))}
	out, err := request(f.b, "GetObject", f.key, f.b.client.GetObject, in)
	var e *Error
	if errors.As(err, &e) && e.Status == 416 && from == 0 {
		f.size = 0 // which has no first byte
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	if aws.ToString(out.ETag) == "" {
		return nil, broken("GetObject", f.key, notTheStore)
	}
	total := aws.ToInt64(out.ContentLength)
	if out.ContentRange != nil {
		_, size, _ := strings.Cut(*out.ContentRange, "/")
		if total, err = strconv.ParseInt(size, 10, 64); err != nil {
			return nil, broken("GetObject", f.key, "an answer without its size")
		}
	} else if from > 0 {
		return nil, &Error{Op: "GetObject", Key: f.key, Status: 501, Code: "a range was asked for and the whole came", Lasting: true}
	} else {
		n = total // a store without ranges sent it whole
	}
	if f.size >= 0 && f.size != total {
		return nil, broken("GetObject", f.key, "its size changed")
	}
	want := min(n, total-from)
	content, err := io.ReadAll(io.LimitReader(out.Body, want+1))
	if err != nil || int64(len(content)) != want {
		return nil, broken("GetObject", f.key, fmt.Sprintf("the answer broke off after %d of %d bytes", len(content), want))
	}
	if from == 0 && !begins(f.key, content) {
		return nil, broken("GetObject", f.key, "an answer that is not the file")
	}
	f.size, f.modified = total, aws.ToTime(out.LastModified)
	return content, nil
}

// ReadAt reads a range, more than asked for where little is.
func (f *reader) ReadAt(p []byte, off int64) (int, error) { return f.read(p, off, nearSize) }

func (f *reader) read(p []byte, off, least int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if off >= f.size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), f.size-off)
	f.mu.Lock()
	defer f.mu.Unlock()
	if off < f.from || off+want > f.from+int64(len(f.near)) {
		from, n := off, max(want, least)
		if from+n > f.size { // a footer is read from its end
			from = max(0, min(off, f.size-least))
			n = f.size - from
		}
		content, err := f.fetch(from, n)
		if err != nil {
			return 0, err
		}
		f.near, f.from = content, from
	}
	n := copy(p[:want], f.near[off-f.from:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := f.read(p, f.at, 4*headSize)
	f.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *reader) Seek(offset int64, whence int) (int64, error) {
	r := bytes.NewReader(nil)
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.size
	}
	at, err := r.Seek(offset, io.SeekStart)
	if err == nil {
		f.at = at
	}
	return at, err
}

func (f *reader) Close() error               { return nil }
func (f *reader) Stat() (fs.FileInfo, error) { return f, nil }
func (f *reader) Name() string               { return base(f.key) }
func (f *reader) Size() int64                { return f.size }
func (f *reader) Mode() fs.FileMode          { return 0 }
func (f *reader) ModTime() time.Time         { return f.modified }
func (f *reader) IsDir() bool                { return false }
func (f *reader) Sys() any                   { return nil }
