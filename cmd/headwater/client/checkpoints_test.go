package client

import (
	"net/http"
	"testing"

	"headwater/cmd/headwater/client/clienttest"
)

func TestCheckpointsCommand(t *testing.T) {
	api := clienttest.New(t, map[string]http.HandlerFunc{
		"GET /data/w1/checkpoints": clienttest.Says(`[{"table":"orders","namespace":"public","cursor_column":"id","cursor":"42","snapshot_id":"7","sync_id":"syn_a","sequence":19,"time":"2026-01-31T12:00:00.5Z","total_records":1042}]`),
	})
	s, out, _ := clienttest.Streams("")
	if err := (&CheckpointsCmd{ClientFlags: flagsFor(api), Source: "src_a", Table: "orders", Limit: 5}).Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	clienttest.Same(t, "output", out.String(), `
TIME                  TABLE          CURSOR  VALUE  RECORDS  SEQUENCE  SYNC
2026-01-31T12:00:00Z  public.orders  id      42       1,042        19  syn_a
`)
	if query := api.Asked("GET /data/w1/checkpoints")[0].Query; query != "limit=5&scope=user&source_id=src_a&table=orders" {
		t.Errorf("asked for %q", query)
	}
}
