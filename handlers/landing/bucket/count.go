package bucket

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
)

type countKey struct{}

// counted returns a context whose requests add the bytes that they put to sent.
func counted(ctx context.Context, sent *atomic.Int64) context.Context {
	return context.WithValue(ctx, countKey{}, sent)
}

// counting counts the bodies of PUT requests as they leave, and takes back those
// of a request that the store did not accept: it is sent again.
type counting struct{ aws.HTTPClient }

// Do sends a request.
func (c counting) Do(r *http.Request) (*http.Response, error) {
	sent, ok := r.Context().Value(countKey{}).(*atomic.Int64)
	if !ok || r.Method != http.MethodPut || r.Body == nil || r.Body == http.NoBody {
		return c.HTTPClient.Do(r)
	}
	body := &countedBody{ReadCloser: r.Body, sent: sent}
	r.Body, r.GetBody = body, nil // nor is it sent again behind the count
	answer, err := c.HTTPClient.Do(r)
	if err != nil || answer.StatusCode >= 300 {
		sent.Add(-body.n.Swap(0))
	}
	return answer, err
}

type countedBody struct {
	io.ReadCloser
	sent *atomic.Int64
	n    atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	b.sent.Add(int64(n))
	return n, err
}
