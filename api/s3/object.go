package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A file is sent in pieces, each with its own deadline, so that a client that
// reads nothing does not keep it open.
const (
	sendBytes = 8 << 20
	sendTime  = 2 * time.Minute
)

// object answers with a file of the table that the keys open (GetObject,
// HeadObject).
func (s *Server) object(x *exchange, key string) error {
	if !x.keys.opens(key) {
		return denied("The keys open another table")
	}
	f, err := s.Files.Open(x.r.Context(), key)
	if err != nil {
		return err
	}
	defer f.Close()
	tag := etag(key, f.Size)
	header := x.w.Header()
	header.Set("ETag", tag)
	header.Set("Last-Modified", f.Modified.UTC().Format(http.TimeFormat))
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Type", "application/octet-stream")
	if status := condition(x.r.Header, tag, f.Modified); status == http.StatusNotModified {
		x.w.WriteHeader(status)
		return nil
	} else if status != 0 {
		return fail(status, "PreconditionFailed", "The object is not as the request's conditions want it")
	}
	from, n, partial, err := rangeOf(x.r.Header.Get("Range"), f.Size)
	if err != nil {
		refused := fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The range lies outside the object")
		refused.header.Set("Content-Range", fmt.Sprintf("bytes */%d", f.Size))
		return refused
	}
	header.Set("Content-Length", strconv.FormatInt(n, 10))
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+n-1, f.Size))
	}
	if from > 0 {
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			return err
		}
	}
	x.w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return nil
	}
	for n > 0 {
		x.allow(sendTime)
		sent, err := io.CopyN(x.w, f.ReadSeekCloser, min(n, sendBytes))
		if n -= sent; err != nil {
			// Closing the connection tells the client that less was sent than
			// announced.
			panic(http.ErrAbortHandler)
		}
	}
	return nil
}

// etag returns the tag of an object. An object never changes, so it has one
// version. The tag has the form of a multipart upload's, which no client takes
// for an MD5.
func etag(key string, size int64) string {
	h := sha256.Sum256([]byte(key + "\x00" + strconv.FormatInt(size, 10)))
	return `"` + hex.EncodeToString(h[:16]) + `-1"`
}

// condition returns the status for a request whose conditional headers the
// object does not meet, or 0 if it meets them (RFC 9110, section 13).
func condition(header http.Header, tag string, modified time.Time) int {
	matches := func(name string) bool {
		for one := range strings.SplitSeq(header.Get(name), ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.Trim(one, `"`) == strings.Trim(tag, `"`) {
				return true
			}
		}
		return false
	}
	since := func(name string) (time.Time, bool) {
		at, err := http.ParseTime(header.Get(name))
		return at, err == nil
	}
	modified = modified.Truncate(time.Second)
	switch {
	case header.Get("If-Match") != "":
		if !matches("If-Match") {
			return http.StatusPreconditionFailed
		}
	default:
		if at, ok := since("If-Unmodified-Since"); ok && modified.After(at) {
			return http.StatusPreconditionFailed
		}
	}
	switch {
	case header.Get("If-None-Match") != "":
		if matches("If-None-Match") {
			return http.StatusNotModified
		}
	default:
		if at, ok := since("If-Modified-Since"); ok && !modified.After(at) {
			return http.StatusNotModified
		}
	}
	return 0
}

// rangeOf returns the bytes of an object that a Range header asks for. Anything
// but a single range of bytes is ignored, as S3 does. A range outside the object
// is an error.
func rangeOf(text string, size int64) (from, n int64, partial bool, err error) {
	spec, ok := strings.CutPrefix(text, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || strings.Contains(spec, ",") {
		return 0, size, false, nil
	}
	first, last = strings.TrimSpace(first), strings.TrimSpace(last)
	if first == "" { // the last bytes
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return 0, size, false, nil
		}
		if n == 0 || size == 0 {
			return 0, 0, false, errRange
		}
		got := min(int64(n), size)
		return size - got, got, true, nil
	}
	begin, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return 0, size, false, nil
	}
	end := uint64(size) - 1
	if last != "" {
		if end, err = strconv.ParseUint(last, 10, 63); err != nil || end < begin {
			return 0, size, false, nil
		}
	}
	if int64(begin) >= size {
		return 0, 0, false, errRange
	}
	from = int64(begin)
	return from, min(int64(end), size-1) - from + 1, true, nil
}

var errRange = errors.New("the range lies outside")
