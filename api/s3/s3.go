// Package s3 offers the lake's tables as a read-only S3 endpoint: one bucket, whose
// keys are given out by the catalog, open one table each and do not live long.
package s3

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"headwater/bus/event"
)

// Bucket is what the lake is called here, and Root how the names of its files
// begin.
const (
	Bucket = "headwater"
	Root   = "s3://" + Bucket
)

// Region is told to clients, which must name one. Any is taken.
const Region = "us-east-1"

// ErrDamaged is what Files return for a file that none of a table can be.
var ErrDamaged = errors.New("the file is none of a table")

// File is one file of the lake. Whoever opened it closes it.
type File struct {
	io.ReadSeekCloser
	Size     int64
	Modified time.Time
}

// Entry is a file of a listing.
type Entry struct {
	Key      string
	Size     int64
	Modified time.Time
}

// Files are the lake's files as they are shown below Root. The wiring adapts the
// lake to it.
type Files interface {
	// Key returns the key of a file or folder of the lake.
	Key(name string) (key string, ok bool)
	// Named returns the name below Root.
	Named(name string) string
	Metadata(content []byte) ([]byte, error)
	// Open returns fs.ErrNotExist for what is not there, ErrDamaged for what
	// cannot be shown.
	Open(ctx context.Context, key string) (*File, error)
	// List returns the keys of the files below a folder, in order.
	List(ctx context.Context, folder string) ([]string, error)
	Stat(ctx context.Context, key string) (Entry, error)
}

// Holder is whom keys were given to, and for which table.
type Holder struct {
	Address  event.Address // of the table's source
	Username string
	TokenID  string // of the token that they were had with, "" for one without an id
}

// Deps are what a Server is built from. All are lent and needed, but for Log, Now
// and Port.
type Deps struct {
	Files Files
	// MAC is a keyed fingerprint, equal on every node: all that keys are made of.
	MAC func(data []byte) []byte
	// Stands returns nil while keys may be used, or why not: the source was removed,
	// or the token revoked. It is asked at each request.
	Stands func(ctx context.Context, h Holder) error
	// Port is where clients reach the endpoint on the host by which they reach the
	// catalog, "" for the catalog's own; see At.
	Port string
	Now  func() time.Time // nil for time.Now
	Log  *slog.Logger     // nil discards
}

// Server is the endpoint. It is safe for concurrent use and keeps no state.
type Server struct{ Deps }

// New returns an endpoint. It starts nothing.
func New(d Deps) *Server {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return &Server{d}
}

// At returns the same endpoint for clients that reach it at a port of its own.
func (s *Server) At(port string) *Server {
	d := s.Deps
	d.Port = port
	return &Server{d}
}

// Asks reports whether a request is one for the endpoint, where it shares its
// address with the API.
func Asks(r *http.Request) bool {
	return r.URL.Path == "/"+Bucket || strings.HasPrefix(r.URL.Path, "/"+Bucket+"/") || strings.HasPrefix(r.Header.Get("Authorization"), algorithm)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, id: requestID()}
	w.Header().Set("X-Amz-Request-Id", x.id)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	x.allow(answerTime)
	err := s.answer(x)
	s.Log.Debug("a request for the lake", "request_id", x.id, "method", r.Method, "path", r.URL.Path, "range", r.Header.Get("Range"), "error", err)
	if err == nil {
		return
	}
	f := asFailure(err)
	if f.status >= 500 && r.Context().Err() == nil {
		s.Log.Error("the lake's S3 endpoint cannot answer", "request_id", x.id, "path", r.URL.Path, "error", err)
	}
	x.fail(f)
}

// exchange is one request and its answer.
type exchange struct {
	w     http.ResponseWriter
	r     *http.Request
	id    string
	query url.Values
	keys  claims
}

// allow gives the client time to take what is written next.
func (x *exchange) allow(d time.Duration) {
	// Not every ResponseWriter has deadlines; a server's has.
	_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(d))
}

// understood are the parameters of requests that are answered; others ask for what
// the endpoint has not, such as an object's access control.
var understood = map[string]bool{
	"list-type": true, "prefix": true, "delimiter": true, "max-keys": true, "continuation-token": true, "start-after": true, "encoding-type": true, "fetch-owner": true,
	"location": true, "x-id": true, "partNumber": true,
}

func (s *Server) answer(x *exchange) (err error) {
	if x.query, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
		return fail(http.StatusBadRequest, "InvalidArgument", "The query cannot be read")
	}
	if x.keys, err = s.authenticate(x.r, x.query); err != nil {
		return err
	}
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The lake is read-only here")
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(x.r.URL.Path, "/"), "/")
	if bucket == "" {
		return fail(http.StatusForbidden, "AccessDenied", "The keys open one table, and list no buckets")
	}
	if bucket != Bucket {
		return fail(http.StatusNotFound, "NoSuchBucket", "There is one bucket here: "+Bucket)
	}
	for name := range x.query {
		if !understood[name] && !strings.HasPrefix(strings.ToLower(name), "x-amz-") && !strings.HasPrefix(name, "response-") {
			return fail(http.StatusNotImplemented, "NotImplemented", "The lake's endpoint has GetObject, HeadObject, HeadBucket, GetBucketLocation and ListObjectsV2")
		}
	}
	switch {
	case key != "":
		return s.object(x, key)
	case x.r.Method == http.MethodHead:
		x.w.WriteHeader(http.StatusOK)
		return nil
	case x.query.Has("location"):
		return x.xml(http.StatusOK, location{})
	case x.query.Get("list-type") == "2":
		return s.list(x)
	}
	return fail(http.StatusNotImplemented, "NotImplemented", "Objects are listed by ListObjectsV2: list-type=2")
}

// asFailure returns an error as it is answered. One that is none of the client's
// shows nothing of its text.
func asFailure(err error) *failure {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, fs.ErrNotExist):
		return fail(http.StatusNotFound, "NoSuchKey", "There is no such object, or what it names is gone from the lake")
	case errors.Is(err, ErrDamaged):
		return fail(http.StatusNotFound, "NoSuchKey", "The object is none that a table can have")
	}
	return fail(http.StatusServiceUnavailable, "ServiceUnavailable", "The lake does not answer now; the service's log says why")
}
