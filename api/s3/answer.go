package s3

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// counter notes what goes through it to the client.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
	broken bool // the client did not take all of it
}

// Unwrap is for http.ResponseController.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counter) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	return n, c.took(int64(n), err)
}

// ReadFrom leaves a file to the connection, which has the system send it.
func (c *counter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	return n, c.took(n, err)
}

func (c *counter) took(n int64, err error) error {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	c.bytes += n
	c.broken = c.broken || err != nil
	return err
}

// answer says what a request was answered, and why it was refused if it was.
func (c *counter) answer(x *exchange, refused *failure, took time.Duration) Answer {
	a := Answer{Method: x.r.Method, Route: RouteBucket, Status: c.status, Bytes: c.bytes, Duration: took, RequestID: x.id}
	if key := strings.TrimPrefix(x.r.URL.Path, "/"+Bucket+"/"); key != "" && key != x.r.URL.Path {
		a.Route = RouteObject
	}
	if refused != nil {
		a.Code, a.Message = refused.code, refused.message
	}
	if c.broken || x.r.Context().Err() != nil && c.status == 0 {
		a.Status = 0
	}
	return a
}
