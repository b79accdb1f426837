package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/api/s3"
	"headwater/bus/event"
	"headwater/projections"
)

// someTokens knows one token that stands.
type someTokens struct{}

func (someTokens) Stands(id string) error {
	if id == "tok_good" {
		return nil
	}
	return errors.New("it was revoked")
}

// TestKeysStandWithTheirToken holds what ends keys to the lake before their time:
// the token, and the source.
func TestKeysStandWithTheirToken(t *testing.T) {
	view, err := projections.Open(projections.Options{Dir: "view", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	of := func(token string) s3.Holder {
		return s3.Holder{Address: event.Address{Organization: "acme", Workspace: "w", Owner: "ada", Source: "src_none"}, Username: "ada", TokenID: token}
	}
	for _, c := range []struct {
		tokens any
		token  string
		want   string
	}{
		{someTokens{}, "tok_bad", "it was revoked"},
		{nil, "tok_good", "does not know"},
		{someTokens{}, "tok_good", "source was removed"}, // the token stands, and there is no source
		{nil, "", "source was removed"},
	} {
		if err := stands(view, c.tokens)(t.Context(), of(c.token)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
