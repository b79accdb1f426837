package bucket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// A file is uploaded in parts of partSize: one is filled while sending others
// are sent, which is all the memory that an upload takes. All uploads together
// send sendingAll.
const (
	partSize   = 5 << 20
	sending    = 2
	sendingAll = 6
	tidying    = 4 * time.Second // for what is removed after the work has ended
)

// WriteFile writes a small file.
func (b *Bucket) WriteFile(name string, content []byte) error {
	key, err := b.key(name)
	if err != nil {
		return err
	}
	return b.put(key, bytes.Clone(content))
}

func (b *Bucket) put(key string, content []byte) error {
	err := b.putOnce(key, content, nil)
	if err == nil {
		b.keep(key, content)
	}
	return err
}

// putOnce writes a file, on a condition if there is one. An answer without an
// ETag is not the store's.
func (b *Bucket) putOnce(key string, content []byte, unless *string) error {
	return b.insist("PutObject", key, func() error {
		out, err := request(b, "PutObject", key, b.client.PutObject, &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: bytes.NewReader(content), IfNoneMatch: unless})
		if err == nil && aws.ToString(out.ETag) == "" {
			err = broken("PutObject", key, notTheStore)
		}
		return err
	})
}

// WriteNew writes a small file that must not exist: else it is fs.ErrExist.
// Stores without preconditions overwrite it.
func (b *Bucket) WriteNew(name string, content []byte) error {
	key, err := b.key(name)
	if err != nil {
		return err
	}
	if b.plain.Load() {
		return b.put(key, content)
	}
	err = b.putOnce(key, content, aws.String("*"))
	var e *Error
	if errors.As(err, &e) && (e.Status == 501 || e.Code == "InvalidArgument") {
		b.plain.Store(true)
		return b.put(key, content)
	}
	return err
}

// Create begins a file that exists once Close returned nil.
func (b *Bucket) Create(name string) (iceio.FileWriter, error) {
	key, err := b.key(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	w := &Writer{cancel: cancel, key: key, slots: make(chan struct{}, sending)}
	w.b = b.Within(counted(ctx, &w.sent))
	return w, nil
}

// Writer is a file on its way. Abort may be called at any time, everything else
// by one goroutine.
type Writer struct {
	b      *Bucket
	cancel context.CancelFunc
	key    string
	buf    []byte
	upload *string // once there is more than one part
	number int32
	size   int64
	// repeated says that the upload may have been begun more than once.
	repeated bool
	slots    chan struct{}
	wait     sync.WaitGroup
	closed   bool
	sent     atomic.Int64

	mu    sync.Mutex
	parts []types.CompletedPart
	err   error
}

// Abort stops the upload: what is under way ends, and Close fails and leaves
// nothing behind.
func (w *Writer) Abort() { w.cancel() }

// Sent returns how many bytes of the file the store has taken, or is about to. It
// may be called at any time.
func (w *Writer) Sent() int64 { return w.sent.Load() }

func (w *Writer) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && w.b.ctx.Err() != nil {
		w.err = w.b.fail("PutObject", w.key, time.Now(), w.b.ctx.Err())
	}
	return w.err
}

// Write takes more of the file; it waits while enough parts are on their way.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if err := w.failed(); err != nil {
			return written, err
		}
		n := min(len(p), partSize-len(w.buf))
		w.room(n)
		w.buf = append(w.buf, p[:n]...)
		p, written, w.size = p[n:], written+n, w.size+int64(n)
		if len(w.buf) == partSize {
			if err := w.send(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// room makes the buffer as large as a part once a file is not small.
func (w *Writer) room(n int) {
	if len(w.buf)+n <= cap(w.buf) || len(w.buf)+n < partSize/16 {
		return
	}
	next, ok := w.b.buffers.Get().(*[]byte)
	if !ok {
		made := make([]byte, 0, partSize)
		next = &made
	}
	w.buf = append((*next)[:0], w.buf...)
}

// ReadFrom writes all that r has.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// send hands the buffer to a goroutine that uploads it.
func (w *Writer) send() error {
	if w.upload == nil {
		if err := w.b.insist("CreateMultipartUpload", w.key, w.create); err != nil {
			return w.fail(err)
		}
	}
	// A part that is sent waits for nobody, so whoever waits here gets on.
	for _, slots := range []chan struct{}{w.slots, w.b.sends} {
		select {
		case slots <- struct{}{}:
		case <-w.b.ctx.Done():
			return w.failed()
		}
	}
	w.number++
	number, content := w.number, w.buf
	w.buf = nil
	w.wait.Go(func() {
		defer func() {
			<-w.b.sends
			<-w.slots
		}()
		var out *s3.UploadPartOutput
		err := w.b.insist("UploadPart", w.key, func() (err error) {
			out, err = request(w.b, "UploadPart", w.key, w.b.client.UploadPart, &s3.UploadPartInput{Bucket: &w.b.name, Key: &w.key, UploadId: w.upload, PartNumber: &number, Body: bytes.NewReader(content)})
			if err == nil && aws.ToString(out.ETag) == "" {
				err = broken("UploadPart", w.key, notTheStore)
			}
			return err
		})
		if err != nil {
			_ = w.fail(err) // which keeps it
			return
		}
		w.b.buffers.Put(&content) // after a failure, a connection may still read it
		w.mu.Lock()
		defer w.mu.Unlock()
		w.parts = append(w.parts, types.CompletedPart{PartNumber: &number, ETag: out.ETag})
	})
	return nil
}

// create begins the upload. One whose answer was lost is another upload, which
// is ended with the file.
func (w *Writer) create() error {
	out, err := request(w.b, "CreateMultipartUpload", w.key, w.b.client.CreateMultipartUpload, &s3.CreateMultipartUploadInput{Bucket: &w.b.name, Key: &w.key})
	if err != nil {
		w.repeated = true
		return err
	}
	attempts, _ := retry.GetAttemptResults(out.ResultMetadata)
	w.repeated = w.repeated || len(attempts.Results) > 1
	if aws.ToString(out.UploadId) == "" {
		w.repeated = true
		return broken("CreateMultipartUpload", w.key, notTheStore)
	}
	w.upload = out.UploadId
	return nil
}

// endOthers ends uploads of the same file, whose answers were lost: no name is
// written twice.
func (w *Writer) endOthers(b *Bucket) {
	if w.repeated {
		_ = b.abortUploads(w.key, func(string) bool { return true }) // a sweep ends what this does not
	}
}

func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// Close makes the file exist, or returns why it does not; then nothing of it
// stays, as far as the store answers. It is safe to call twice.
func (w *Writer) Close() error {
	if w.closed {
		return w.failed()
	}
	w.closed = true
	defer w.cancel()
	if w.upload == nil {
		if err := w.failed(); err != nil {
			if w.repeated {
				b, done := w.b.lively()
				defer done()
				w.endOthers(b)
			}
			return err
		}
		if err := w.b.put(w.key, w.buf); err != nil {
			return w.fail(err)
		}
		return nil
	}
	if len(w.buf) > 0 && w.failed() == nil {
		_ = w.send() // which keeps its error
	}
	w.wait.Wait()
	w.buf = nil
	if w.failed() == nil {
		if err := w.complete(); err != nil {
			_ = w.fail(err)
		}
	}
	if w.err == nil && !w.repeated {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.b.ctx), tidying)
	defer cancel()
	b := w.b.Within(ctx)
	if w.err != nil {
		_ = b.abort(w.key, w.upload) // a sweep aborts what this does not
	}
	w.endOthers(b)
	return w.err
}

func (w *Writer) complete() error {
	slices.SortFunc(w.parts, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	err := w.b.insist("CompleteMultipartUpload", w.key, func() error {
		out, err := request(w.b, "CompleteMultipartUpload", w.key, w.b.client.CompleteMultipartUpload, &s3.CompleteMultipartUploadInput{Bucket: &w.b.name, Key: &w.key, UploadId: w.upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: w.parts}})
		if err == nil && aws.ToString(out.ETag) == "" {
			err = broken("CompleteMultipartUpload", w.key, notTheStore)
		}
		return err
	})
	var e *Error
	if errors.As(err, &e) && e.Code == "NoSuchUpload" {
		// The answer of a completion that was done may have been lost.
		out, gone := request(w.b, "HeadObject", w.key, w.b.client.HeadObject, &s3.HeadObjectInput{Bucket: &w.b.name, Key: &w.key})
		if gone == nil && aws.ToString(out.ETag) != "" && aws.ToInt64(out.ContentLength) == w.size {
			return nil
		}
	}
	return err
}

func (b *Bucket) abort(key string, upload *string) error {
	_, err := request(b, "AbortMultipartUpload", key, b.client.AbortMultipartUpload, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: upload})
	var e *Error
	if errors.As(err, &e) && e.Status == 404 {
		return nil
	}
	return err
}
