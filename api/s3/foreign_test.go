package s3

import (
	"context"
	"errors"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"headwater/api/iceberg"
)

// issues gives keys out, or an error.
type issues struct {
	err   error
	table iceberg.Table
	times int
}

func (i *issues) Issue(_ context.Context, t iceberg.Table, _ iceberg.Caller) (Issued, error) {
	i.table = t
	i.times++
	return Issued{"AK", "SK", "ST", "eu-west-1", time.UnixMilli(1_800_000_000_123)}, i.err
}

type toldError struct{ error }

func (toldError) Told() string { return "the store has none" }

// TestKeysToABucket holds what a catalog answers of a table in a bucket: keys where
// the store gives any and the caller takes them, else the bucket's settings and why.
func TestKeysToABucket(t *testing.T) {
	aTable := iceberg.Table{Folder: "s3://lake/t", Location: "s3://lake/t/metadata/1.metadata.json"}
	view := func(f Foreign, delegated bool, agent string) iceberg.View {
		t.Helper()
		r := httptest.NewRequest("GET", "/iceberg/v1/x", nil)
		r.Header.Set("User-Agent", agent)
		v, err := f.View(t.Context(), iceberg.Ask{Table: aTable, Delegated: delegated, Request: r})
		if err != nil || v.Folder != aTable.Folder || v.Location != aTable.Location {
			t.Fatalf("%+v %v", v, err)
		}
		return v
	}
	minio := map[string]string{"endpoint": "http://minio:9000", "region": "eu-west-1"}
	none := map[string]string{"headwater.credentials": "none", "s3.endpoint": "http://minio:9000", "s3.path-style-access": "true", "s3.region": "eu-west-1", "client.region": "eu-west-1"}
	with := func(more map[string]string, base map[string]string) map[string]string {
		all := maps.Clone(base)
		maps.Copy(all, more)
		return all
	}
	vended := map[string]string{
		"headwater.credentials": "vended", "s3.region": "eu-west-1", "client.region": "eu-west-1",
		"s3.access-key-id": "AK", "s3.secret-access-key": "SK", "s3.session-token": "ST", "s3.session-token-expires-at-ms": "1800000000123",
	}
	for name, c := range map[string]struct {
		f         Foreign
		delegated bool
		agent     string
		want      map[string]string
		warning   string
	}{
		"no STS":                 {Foreign{Settings: minio}, true, "", none, ""},
		"none asked for":         {Foreign{minio, &issues{}}, false, "", none, ""},
		"keys":                   {Foreign{minio, &issues{}}, true, "", with(vended, none), ""},
		"keys for ClickHouse":    {Foreign{minio, &issues{}}, true, "ClickHouse/26.7", with(map[string]string{"s3.endpoint": "http://minio:9000/"}, with(vended, none)), ""},
		"keys of Amazon's":       {Foreign{nil, &issues{}}, true, "", vended, ""},
		"a store without":        {Foreign{minio, &issues{err: toldError{errors.New("secret")}}}, true, "", with(map[string]string{"headwater.credentials-reason": "the store has none"}, none), "the store has none"},
		"an error of no meaning": {Foreign{minio, &issues{err: errors.New("secret")}}, true, "", with(map[string]string{"headwater.credentials-reason": "the store gave no keys to the table"}, none), "the store gave no keys to the table"},
	} {
		v := view(c.f, c.delegated, c.agent)
		if !maps.Equal(v.Config, c.want) || v.Warning != c.warning || v.Expires.IsZero() != (v.Config["s3.access-key-id"] == "") {
			t.Errorf("%s: %v %q until %v\nwant %v", name, v.Config, v.Warning, v.Expires, c.want)
		}
		if i, ok := c.f.Issuer.(*issues); ok && (i.times != 0) != c.delegated || ok && c.delegated && i.table.Folder != aTable.Folder {
			t.Errorf("%s: asked %d times for %+v", name, i.times, i.table)
		}
		for _, value := range v.Config {
			if strings.Contains(value, "secret") {
				t.Errorf("%s: %v", name, v.Config)
			}
		}
	}
	ctx, left := context.WithCancel(t.Context())
	left()
	if _, err := (Foreign{minio, &issues{err: context.Canceled}}).View(ctx, iceberg.Ask{Table: aTable, Delegated: true, Request: httptest.NewRequest("GET", "/", nil)}); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: %v", err)
	}
}
