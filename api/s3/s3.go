// Package s3 is a read-only S3 endpoint for the lake's tables. It has one
// bucket. The catalog issues its keys, each of which opens one table for at most
// an hour.
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

// Bucket is the name of the bucket, and Root the prefix of the URLs of its
// files.
const (
	Bucket = "headwater"
	Root   = "s3://" + Bucket
)

// Region is the region to name in clients that require one. The endpoint accepts
// any.
const Region = "us-east-1"

// ErrDamaged is what Files returns for a file that cannot belong to a table.
var ErrDamaged = errors.New("the file is none of a table")

// File is an open file of the lake. Whoever opened it closes it.
type File struct {
	io.ReadSeekCloser
	Size     int64
	Modified time.Time
}

// Entry is a file in a listing.
type Entry struct {
	Key      string
	Size     int64
	Modified time.Time
}

// Files are the lake's files as they appear below Root. The wiring adapts the
// lake to it.
type Files interface {
	// Key returns the key of a file or folder of the lake, or false if name is
	// outside the lake.
	Key(name string) (key string, ok bool)
	// Named returns the name below Root of a file of the lake.
	Named(name string) string
	// Metadata returns the content of a metadata file with the names in it as they
	// are below Root. It fails if the content is not table metadata.
	Metadata(content []byte) ([]byte, error)
	// Open returns fs.ErrNotExist for a file that does not exist, and ErrDamaged
	// for one that cannot be shown.
	Open(ctx context.Context, key string) (*File, error)
	// List returns the keys of the files below a folder, sorted.
	List(ctx context.Context, folder string) ([]string, error)
	// Stat returns size and time of a file. Its errors are those of Open.
	Stat(ctx context.Context, key string) (Entry, error)
}

// Holder is who received keys, and for which table.
type Holder struct {
	Address  event.Address // address of the table's source
	Username string
	TokenID  string // id of the token with which they were requested, "" if it has none
}

// Deps are what a Server is built from. The Server closes none of them. All but
// Log, Now and Port are required.
type Deps struct {
	Files Files
	// MAC returns a keyed hash that is the same on every node. Keys derive from
	// nothing else.
	MAC func(data []byte) []byte
	// Stands returns nil while keys may be used, else an error from Withdrawn:
	// the source was removed, or the token was revoked. It is called for each
	// request.
	Stands func(ctx context.Context, h Holder) error
	// Port is where clients reach the endpoint, on the host by which they reach
	// the catalog; "" for the catalog's own port. See At.
	Port string
	// Answered is called once for each request after its answer, from any
	// goroutine; nil for nobody.
	Answered func(Answer)
	Now      func() time.Time // nil for time.Now
	Log      *slog.Logger     // nil discards
}

// Answer tells of one request. Method is the client's text, and what the others
// say comes from closed sets.
type Answer struct {
	Method    string
	Route     string // RouteBucket or RouteObject
	Status    int    // 0 if the client disconnected before the whole answer
	Bytes     int64  // of the answer's body
	Duration  time.Duration
	RequestID string
	Code      string // of a refusal, in S3's words; "" for none
	Message   string // what a refusal said
}

// Routes of an Answer.
const (
	RouteBucket = "/" + Bucket
	RouteObject = "/" + Bucket + "/{key}"
)

// Server is the endpoint. It is safe for concurrent use and has no state.
type Server struct{ Deps }

// New returns an endpoint. It starts no goroutine.
func New(d Deps) *Server {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return &Server{d}
}

// At returns the same endpoint for clients that reach it on that port.
func (s *Server) At(port string) *Server {
	d := s.Deps
	d.Port = port
	return &Server{d}
}

// Asks reports whether a request is meant for the endpoint when it shares its
// address with the API.
func Asks(r *http.Request) bool {
	return r.URL.Path == "/"+Bucket || strings.HasPrefix(r.URL.Path, "/"+Bucket+"/") || strings.HasPrefix(r.Header.Get("Authorization"), algorithm)
}

// ServeHTTP answers one request. The path begins with the bucket.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun, counted := time.Now(), &counter{ResponseWriter: w}
	w = counted
	x := &exchange{w: w, r: r, id: requestID()}
	var refused *failure
	if s.Answered != nil {
		defer func() { s.Answered(counted.answer(x, refused, time.Since(begun))) }()
	}
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
	refused = f
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

// allow gives the client d to read what is written next.
func (x *exchange) allow(d time.Duration) {
	// A ResponseWriter outside a server may have no deadlines.
	_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(d))
}

// understood are the query parameters that are supported. Others ask for
// features that the endpoint lacks, such as an object's access control list.
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

// asFailure returns err if it is a failure, else a failure that shows none of
// err's text.
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
