package client

import (
	"net/http"
	"strings"
	"testing"

	"headwater/cmd/headwater/client/clienttest"
	"headwater/cmd/headwater/exit"
)

// TestPurgeAsks answers the question at a terminal; a script is not asked.
func TestPurgeAsks(t *testing.T) {
	for _, c := range []struct {
		typed    string // "" is no terminal
		yes, dry bool
		want     bool
	}{{"n", false, false, false}, {"", false, false, true}, {"y", false, false, true}, {"never read", true, false, true}, {"never read", false, true, true}} {
		api := clienttest.New(t, map[string]http.HandlerFunc{
			"GET /data/w1/list": func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("removed") != "" {
					clienttest.Says(`[]`)(w, r)
					return
				}
				clienttest.Says(`[{"id":"src_a","name":"airports"},{"id":"src_b","name":"crm"}]`)(w, r)
			},
			"POST /data/w1/cleanup": clienttest.Says(`{"deleted_count":1,"deleted_sources":["src_a"]}`),
		})
		s, out, errs := clienttest.Streams("")
		if c.typed != "" {
			master, slave := clienttest.OpenTerminal(t, 80, 24)
			if _, err := master.WriteString(c.typed + "\n"); err != nil {
				t.Fatal(err)
			}
			s.In = slave
		}
		err := (&CleanupCmd{ClientFlags: flagsFor(api), Sources: []string{"airports"}, Purge: true, Yes: c.yes, DryRun: c.dry}).Run(t.Context(), s)
		if (err == nil) != c.want || (len(api.Asked("POST /data/w1/cleanup")) == 1) != c.want {
			t.Errorf("%+v: %v, %s", c, err, out)
		}
		asked := strings.Contains(errs.String(), "Destroy for good 1 source with scope user of workspace w1 (airports)? [y/N]")
		if want := c.typed == "n" || c.typed == "y"; asked != want {
			t.Errorf("%+v asked %q", c, errs)
		}
		if !c.want && exit.Code(err) != exit.Refused {
			t.Errorf("no is %d", exit.Code(err))
		}
	}
}
