package bucket

import (
	"bytes"
	"errors"
	"path"
	"time"
)

// Something between the service and its store may answer in the store's place:
// 200 and a page that wants a login, 200 and nothing, half of a file. Such an
// answer is never believed, and never kept.

// notTheStore is what an answer of success is that lacks what all stores say.
const notTheStore = "an answer of success that is not a store's"

func broken(op, key, what string) error {
	return &Error{Op: op, Key: key, Status: 200, Code: what, broken: true}
}

// insist repeats what had a broken answer, for as long as a request is repeated.
func (b *Bucket) insist(op, key string, once func() error) error {
	began := time.Now()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := once()
		var e *Error
		if !errors.As(err, &e) || !e.broken {
			return err
		}
		if time.Since(began) >= b.limits.Outage {
			e.Lasting = true
			return err
		}
		select {
		case <-b.ctx.Done():
			return errors.Join(err, b.fail(op, key, began, b.ctx.Err()))
		case <-time.After(pause):
		}
	}
}

// begins reports whether content can be the beginning of a file of that name.
func begins(key string, content []byte) bool {
	switch path.Ext(key) {
	case ".avro":
		return bytes.HasPrefix(content, []byte("Obj\x01"))
	case ".parquet":
		return bytes.HasPrefix(content, []byte("PAR1"))
	case ".json":
		return len(content) > 0 && (content[0] == '{' || content[0] == '[')
	}
	return true
}
