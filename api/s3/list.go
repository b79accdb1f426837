package s3

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io/fs"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// mostKeys is the largest number of keys and prefixes on a page.
const mostKeys = 1000

type listed struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
}

type common struct{ Prefix string }

type listing struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	StartAfter            string `xml:",omitempty"`
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	KeyCount, MaxKeys     int
	IsTruncated           bool
	Contents              []listed
	CommonPrefixes        []common
}

// list answers with the files that the client's keys open (ListObjectsV2).
func (s *Server) list(x *exchange) error {
	q := x.query
	page := listing{
		Name: Bucket, Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), StartAfter: q.Get("start-after"),
		ContinuationToken: q.Get("continuation-token"), EncodingType: q.Get("encoding-type"), MaxKeys: mostKeys,
	}
	invalid := func(message string) error { return fail(http.StatusBadRequest, "InvalidArgument", message) }
	if text := q.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return invalid("max-keys must be a number from 0")
		}
		page.MaxKeys = min(n, mostKeys)
	}
	if page.EncodingType != "" && page.EncodingType != "url" {
		return invalid("encoding-type must be url")
	}
	after := page.StartAfter
	if page.ContinuationToken != "" {
		at, err := base64.RawURLEncoding.DecodeString(page.ContinuationToken)
		if err != nil {
			return invalid("The continuation token is none of this endpoint")
		}
		after = string(at)
	}
	keys, err := s.Files.List(x.r.Context(), x.keys.Folder)
	if err != nil {
		return err
	}
	if err := s.fill(x, &page, keys, after); err != nil {
		return err
	}
	page.encode()
	return x.xml(http.StatusOK, page)
}

// fill adds the keys that follow after to the page.
func (s *Server) fill(x *exchange, page *listing, keys []string, after string) error {
	last := ""
	for _, key := range keys[sort.SearchStrings(keys, page.Prefix):] {
		rest, begins := strings.CutPrefix(key, page.Prefix)
		if !begins {
			break
		}
		group := ""
		if page.Delimiter != "" {
			if at := strings.Index(rest, page.Delimiter); at >= 0 {
				group = page.Prefix + rest[:at+len(page.Delimiter)]
			}
		}
		// A group that an earlier page has listed is not listed again.
		if key <= after || group != "" && (group == last || group == after) {
			continue
		}
		if page.KeyCount == page.MaxKeys {
			page.IsTruncated = page.MaxKeys > 0
			if page.IsTruncated {
				page.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(last))
			}
			return nil
		}
		if group != "" {
			page.CommonPrefixes = append(page.CommonPrefixes, common{group})
			last = group
			page.KeyCount++
			continue
		}
		e, err := s.Files.Stat(x.r.Context(), key)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
			continue // removed since the list was read, or unreadable
		}
		if err != nil {
			return err
		}
		page.Contents = append(page.Contents, listed{key, e.Modified.UTC().Format(time.RFC3339), etag(key, e.Size), e.Size, "STANDARD"})
		last = key
		page.KeyCount++
	}
	return nil
}

// encode encodes names as the client asked for.
func (l *listing) encode() {
	if l.EncodingType != "url" {
		return
	}
	for _, text := range []*string{&l.Prefix, &l.Delimiter, &l.StartAfter} {
		*text = escape(*text, true)
	}
	for i := range l.Contents {
		l.Contents[i].Key = escape(l.Contents[i].Key, true)
	}
	for i := range l.CommonPrefixes {
		l.CommonPrefixes[i].Prefix = escape(l.CommonPrefixes[i].Prefix, true)
	}
}
