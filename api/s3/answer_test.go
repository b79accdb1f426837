package s3

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestAnswered has each request told of once, whatever became of it, by a route of a
// closed set.
func TestAnswered(t *testing.T) {
	d := newDesk(t, testLake())
	var told []Answer
	d.Answered = func(a Answer) { told = append(told, a) }
	path := "/" + Bucket + "/" + folder + "/data/"
	ranged := func(r *http.Request) { r.Header.Set("Range", "bytes=2-4") }
	gone := func(r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(ctx)
	}
	for name, c := range map[string]struct {
		request *http.Request
		want    Answer
	}{
		"a file":             {d.signed("GET", path+"a.parquet", nil), Answer{Route: RouteObject, Status: 200, Bytes: 10}},
		"a part of it":       {d.signed("GET", path+"a.parquet", ranged), Answer{Route: RouteObject, Status: 206, Bytes: 3}},
		"its size":           {d.signed("HEAD", path+"a.parquet", nil), Answer{Route: RouteObject, Status: 200}},
		"nobody's":           {d.signed("GET", path+"b.parquet", nil), Answer{Route: RouteObject, Status: 404, Code: "NoSuchKey"}},
		"unsigned":           {httptest.NewRequest("GET", path+"a.parquet", nil), Answer{Route: RouteObject, Status: 403, Code: "AccessDenied"}},
		"a bucket":           {d.signed("HEAD", "/"+Bucket, nil), Answer{Route: RouteBucket, Status: 200}},
		"another bucket":     {d.signed("GET", "/other/x", nil), Answer{Route: RouteBucket, Status: 404, Code: "NoSuchBucket"}},
		"a store that ails":  {d.signed("GET", path+"stalled.parquet", nil), Answer{Route: RouteObject, Status: 503, Code: "ServiceUnavailable"}},
		"a client that left": {d.signed("GET", path+"a.parquet", gone), Answer{Route: RouteObject, Status: 0}},
	} {
		told = nil
		func() {
			defer func() { _ = recover() }() // as the server does
			d.ServeHTTP(deaf{httptest.NewRecorder(), c.request.Context()}, c.request)
		}()
		if len(told) != 1 {
			t.Errorf("%s: told of %d times", name, len(told))
			continue
		}
		got, want := told[0], c.want
		if want.Method = c.request.Method; want.Code == "" {
			want.Message = ""
		} else if want.Message, want.Bytes = got.Message, got.Bytes; got.Message == "" || got.Bytes == 0 {
			t.Errorf("%s: a refusal without words: %+v", name, got)
		}
		if want.RequestID, want.Duration = got.RequestID, got.Duration; got.RequestID == "" || got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// deaf takes nothing once its client has left.
type deaf struct {
	*httptest.ResponseRecorder
	ctx context.Context
}

func (d deaf) Write(p []byte) (int, error) {
	if d.ctx.Err() != nil {
		return 0, d.ctx.Err()
	}
	return d.ResponseRecorder.Write(p)
}
