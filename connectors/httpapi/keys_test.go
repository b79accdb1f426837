package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"headwater/connectors/driver"
)

// TestKeysHaveAnEffect connects only where the key makes a difference, or where
// it is known how it is given.
func TestKeysHaveAnEffect(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]any
		wants    string // header and value that the API looks at
		rows     int
		says     string
	}{
		"a bearer token, else the public ones": {map[string]any{"api_key": "k"}, "Authorization: Bearer k", 5, ""},
		"a token, else the public ones":        {map[string]any{"api_key": "k"}, "Authorization: token k", 5, ""},
		"a header of its own":                  {map[string]any{"api_key": "k"}, "X-Token: k", 0, "api_key_header"},
		"a header that is said":                {map[string]any{"api_key": "k", "api_key_header": "X-Token"}, "X-Token: k", 5, ""},
		"no effect, but said":                  {map[string]any{"bearer_token": "k"}, "X-Token: k", 3, ""},
	} {
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			header, value, _ := strings.Cut(c.wants, ": ")
			if r.Header.Get(header) == value {
				fmt.Fprintf(w, `{"next":null,"data":%s}`, items(0, 5))
				return
			}
			fmt.Fprintf(w, `{"next":null,"data":%s}`, items(0, 3))
		})
		c.settings["base_url"] = srv.URL
		src, err := open(t, c.settings, driver.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		steps, err := src.(driver.Stepper).CheckSteps(t.Context())
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		tables, err := src.Discover(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows, _, err := read(t, src, tables[0], driver.Cursor{})
		idle := c.rows == 3
		if err != nil || len(rows) != c.rows || idle != (len(tables[0].Notes) == 1) || idle != strings.Contains(steps[1].Message, "no effect") {
			t.Errorf("%s: %d rows, %v, %+v, %+v", name, len(rows), err, tables[0].Notes, steps)
		}
	}
}

// TestTheReasonIsTold repeats what the API says, also of a bearer token that was
// accepted.
func TestTheReasonIsTold(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer k" {
			http.Error(w, `{"code":"unauthorized"}`, http.StatusUnauthorized)
			return
		}
		http.Error(w, `{"code":"missing_version","message":"Some-Version header should be defined"}`, http.StatusBadRequest)
	})
	_, _, err := all(t, map[string]any{"base_url": srv.URL, "api_key": "k"})
	if err == nil || !strings.Contains(err.Error(), "400") || !strings.Contains(err.Error(), "Some-Version header should be defined") {
		t.Error(err)
	}
}
