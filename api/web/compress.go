package web

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// minCompressed is the size in bytes from which an answer is compressed. A
// shorter one fits into one packet anyway.
const minCompressed = 1024

var (
	gzips = sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
		return w
	}}
	// zstds is safe for concurrent use.
	zstds = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2))
	})
)

// compress encodes the answer as the client prefers, and sets Vary. Answers that
// show a secret are shorter than minCompressed, and event streams do not pass
// through here, so neither is compressed.
func (a *Answer) compress(header, asked http.Header) {
	length := a.Size()
	if a.Status == http.StatusNotModified || length < minCompressed || header.Get("Content-Encoding") != "" {
		return
	}
	header.Add("Vary", "Accept-Encoding")
	coding := preferredCoding(asked.Values("Accept-Encoding"))
	if coding == "" {
		return
	}
	var whole bytes.Buffer
	whole.Grow(length)
	end := len(a.Body) - a.tail
	whole.Write(a.Body[:end])
	whole.Write(a.through)
	whole.Write(a.Body[end:])
	packed, err := pack(coding, whole.Bytes())
	if err != nil || len(packed) >= length {
		return
	}
	header.Set("Content-Encoding", coding)
	a.Body, a.through, a.tail = packed, nil, 0
}

func pack(coding string, plain []byte) ([]byte, error) {
	if coding == codingZstd {
		encoder, err := zstds()
		if err != nil {
			return nil, err
		}
		return encoder.EncodeAll(plain, nil), nil
	}
	var b bytes.Buffer
	w := gzips.Get().(*gzip.Writer)
	defer gzips.Put(w)
	w.Reset(&b)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

const (
	codingZstd = "zstd"
	codingGzip = "gzip"
)

// preferredCoding returns the best content coding that the client accepts, or ""
// for none. Among codings of equal weight the cheaper one wins.
func preferredCoding(values []string) string {
	quality := map[string]float64{}
	for _, item := range strings.Split(strings.Join(values, ","), ",") {
		name, parameters, _ := strings.Cut(strings.ToLower(strings.TrimSpace(item)), ";")
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(parameters), "q="); ok {
			parsed, err := strconv.ParseFloat(value, 64)
			if err != nil || !(parsed >= 0 && parsed <= 1) {
				continue
			}
			q = parsed
		}
		if name = strings.TrimSpace(name); name == "x-gzip" {
			name = codingGzip
		}
		if name != "" {
			quality[name] = q
		}
	}
	asked := func(name string) float64 {
		if q, ok := quality[name]; ok {
			return q
		}
		return quality["*"]
	}
	best, most := "", 0.0
	for _, name := range []string{codingZstd, codingGzip} {
		if q := asked(name); q > most {
			best, most = name, q
		}
	}
	if plain, ok := quality["identity"]; ok && plain > most {
		return ""
	}
	return best
}
