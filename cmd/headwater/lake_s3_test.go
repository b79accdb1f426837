package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/apache/iceberg-go/table"
	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/api/auth"
	"headwater/api/s3"
	"headwater/bus/event"
	"headwater/projections"
)

// someTokens knows one token that stands.
type someTokens struct{}

func (someTokens) Stands(id string) error {
	switch id {
	case "tok_good":
		return nil
	case "tok_unknown":
		return auth.ErrLookup
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
		token, want string
	}{
		{"tok_bad", "it was revoked"},
		{"tok_unknown", auth.ErrLookup.Error()},
		{"tok_good", "source was removed"}, // the token stands, and there is no source
		{"", "source was removed"},
	} {
		if err := stands(view, someTokens{}, nil)(t.Context(), of(c.token)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestRevokedTokenEndsAScan reads a table with keys that came by a machine's token,
// and has it revoked between two requests.
func TestRevokedTokenEndsAScan(t *testing.T) {
	t.Parallel()
	g := startGenerations(t, testConfig(t))
	var made struct{ ID, Token string }
	g.c.post("/data/w/tokens", object{"name": "engine", "role": "viewer"}).into(t, &made)
	readsByVendedKeys()
	catalog, err := rest.NewCatalog(t.Context(), "lake", g.n.URL+"/iceberg", rest.WithOAuthToken(made.Token), rest.WithWarehouseLocation("w"))
	if err != nil {
		t.Fatal(err)
	}
	tbl, err := catalog.LoadTable(t.Context(), table.Identifier{"g", "g"})
	if err != nil {
		t.Fatal(err)
	}
	if got := scanned(t, tbl); got.Count != generationRows {
		t.Fatalf("%+v", got)
	}
	if a := g.c.call("DELETE", "/data/w/tokens/"+made.ID, nil); a.Code != 200 {
		t.Fatalf("revoke: %s", a.Body)
	}
	if _, _, err := tbl.Scan().ToArrowRecords(t.Context()); err == nil || !strings.Contains(err.Error(), "AccessDenied") || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("a scan with the keys of a revoked token: %v", err)
	}
	if _, err := catalog.LoadTable(t.Context(), table.Identifier{"g", "g"}); err == nil {
		t.Error("the catalog takes a revoked token")
	}
	// One that was made for another workspace has no warehouse here.
	g.c.post("/data/w2/tokens", object{"name": "elsewhere", "role": "viewer"}).into(t, &made)
	if _, err := rest.NewCatalog(t.Context(), "lake", g.n.URL+"/iceberg", rest.WithOAuthToken(made.Token), rest.WithWarehouseLocation("w")); err == nil {
		t.Error("a token of another workspace attaches this one")
	}
}
