package httpapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"headwater/connectors/driver"
)

// What an API answers must look like what its table was: one object does not replace the
// records of a list, and a map stays one if it holds one record or none.
func TestAnswersLikeThoseBefore(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string
		settings      map[string]any
		want          string // the rows, or what the refusal says
		refused       bool
	}{
		"a notice in place of the list":  {before: `[{"id":1,"name":"a"},{"id":2,"name":"b"}]`, after: `{"maintenance":true,"until":"noon"}`, want: "record_shape", refused: true},
		"an object in place of a list":   {before: `{"items":[{"id":1},{"id":2}]}`, after: `{"items":{"id":1}}`, want: "records_path", refused: true},
		"an id and a notice":             {before: `[{"id":1,"name":"a"},{"id":2,"name":"b"}]`, after: `{"id":"req-77","notice":"moved"}`, want: "record_shape", refused: true},
		"a code and a hint":              {before: `[{"code":"DE","name":"a"},{"code":"FR","name":"b"}]`, after: `{"code":"unavailable","hint":"later"}`, want: "record_shape", refused: true},
		"a status that records have":     {before: `[{"id":1,"status":"new","v":2},{"id":2,"status":"new","v":3}]`, after: `{"status":"closed"}`, want: "record_shape", refused: true},
		"one name of a record":           {before: `[{"id":1,"name":"a"},{"id":2,"name":"b"}]`, after: `{"name":"gateway","region":"eu"}`, want: "record_shape", refused: true},
		"an id where there was no more":  {before: `[{"id":1},{"id":2}]`, after: `{"id":"req-1","reason":"moved"}`, want: "record_shape", refused: true},
		"one record with a new field":    {before: `[{"id":1,"name":"a"},{"id":2,"name":"b"}]`, after: `{"id":3,"name":"c","at":7}`, want: "[[3 c 7]]"},
		"one record that is a status":    {before: `{"status":"ok","title":"a"}`, after: `{"status":"ok","title":"b"}`, want: "[[ok b]]"},
		"it is the record now":           {before: `[{"id":1},{"id":2}]`, after: `{"total_sales":7}`, settings: map[string]any{"record_shape": "single"}, want: "[[7]]"},
		"one record of the list":         {before: `[{"id":1,"name":"a"},{"id":2,"name":"b"}]`, after: `{"id":3,"name":"c"}`, want: "[[3 c]]"},
		"one record that has grown":      {before: `{"a":1,"b":2}`, after: `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}`, want: "[[1 2 3 4 5 6]]"},
		"one record that has shrunk":     {before: `{"a":1,"b":2,"c":3,"d":4}`, after: `{"b":5}`, want: "[[5]]"},
		"null in place of the list":      {before: `{"items":[{"id":1}]}`, after: `{"items":null}`, want: "[]"},
		"a total of none":                {before: `{"items":[{"id":1}]}`, after: `{"total":0}`, want: "[]"},
		"a map of one record":            {before: `{"k1":{"name":"a"},"k2":{"name":"b"}}`, after: `{"k3":{"name":"c"}}`, want: "[[k3 c]]"},
		"a map of none":                  {before: `{"k1":{"name":"a"},"k2":{"name":"b"}}`, after: `{}`, want: "[]"},
		"an error in place of a map":     {before: `{"k1":{"name":"a"},"k2":{"name":"b"}}`, after: `{"oops":{"trace":"x"}}`, want: "record_shape", refused: true},
		"documents with keys of theirs":  {before: `[{"_key":"1","v":1},{"_key":"2","v":2}]`, after: `{"_key":"3","v":3}`, want: "[[3 3]]"},
		"an object with another's fault": {before: `[{"_key":"1","v":1},{"_key":"2","v":2}]`, after: `{"fault_at":"noon"}`, want: "record_shape", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var answer atomic.Value
			answer.Store(c.before)
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery != "" {
					http.Error(w, "{}", http.StatusBadRequest)
					return
				}
				fmt.Fprint(w, answer.Load())
			})
			settings := map[string]any{"base_url": srv.URL + "/x"}
			before, _, err := all(t, settings)
			if err != nil {
				t.Fatal(err)
			}
			answer.Store(c.after)
			for k, v := range c.settings {
				settings[k] = v
			}
			src, err := open(t, settings, driver.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			src.(driver.Knower).Know([]driver.Table{before})
			tables, err := src.Discover(t.Context())
			if c.refused {
				if !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v; want %s", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, rows, err := told(t, src, tables[0]); err != nil || fmt.Sprint(rows) != c.want {
				t.Errorf("%v, %v; want %s", rows, err, c.want)
			}
		})
	}
}

// told reads a table without what it has no value of.
func told(t *testing.T, src driver.Source, table driver.Table) (driver.Table, [][]string, error) {
	t.Helper()
	rows, _, err := read(t, src, table, driver.Cursor{})
	for i, row := range rows {
		rows[i] = nil
		for _, v := range row {
			if v != null {
				rows[i] = append(rows[i], v)
			}
		}
	}
	return table, rows, err
}

// An answer without a record is an error if it says so, in whatever word that is not
// known to be a good one.
func TestErrorsBesideNoRecord(t *testing.T) {
	for answer, says := range map[string]string{
		`{"status":"NOK","message":"quota exceeded","items":[]}`:                "quota exceeded",
		`{"result":"nope","message":"no rights","items":[]}`:                    "no rights",
		`{"success":"N","message":"no rights","items":[]}`:                      "no rights",
		`{"errorMessage":"no rights","items":[]}`:                               "no rights",
		`{"responseCode":"AUTH_01","responseMessage":"bad session","items":[]}`: "AUTH_01",
		`{"status":{"code":"E1","text":"bad session"},"items":[]}`:              "E1",
		`{"meta":{"code":17,"message":"bad session"},"items":[]}`:               "bad session",
		`{"status":"failed","errmsg":"no rights","items":[]}`:                   "no rights",
		`{"success":false,"status":"S","message":"no rights","items":[]}`:       "no rights",
		`{"errno":0,"errmsg":"成功","items":[]}`:                                  "",
		`{"errcode":0,"errmsg":"request was accepted","items":[]}`:              "",
		`{"errmsg":"no errors","items":[]}`:                                     "",
		`{"errmsg":"request was successful","items":[]}`:                        "",
		`{"errmsg":"request was unsuccessful","items":[]}`:                      "unsuccessful",
		`{"errmsg":"no permission","items":[]}`:                                 "no permission",
		`{"success":true,"status":"S","message":"fetched","items":[]}`:          "",
		`{"status":"no records found","message":"none today","items":[]}`:       "",
		`{"status":"0 rows","message":"none today","items":[]}`:                 "",
		`{"status":"published","description":"My list","items":[]}`:             "",
		`{"status":false,"message":"No users were found","items":[]}`:           "",
		`{"status":false,"message":"no rights","items":[]}`:                     "no rights",
		`{"status":"OK","message":"none today","items":[]}`:                     "",
		`{"status":"no_records","message":"none today","items":[]}`:             "",
		`{"success":true,"message":"none today","items":[]}`:                    "",
		`{"meta":{"code":200,"message":"none today"},"items":[]}`:               "",
		`{"errorMessage":"","errorCode":0,"items":[]}`:                          "",
		`{"status":"NOK","message":"quota exceeded","items":[{"id":1}]}`:        "",
	} {
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
		_, _, err := all(t, map[string]any{"base_url": srv.URL + "/x"})
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says) && !strings.Contains(err.Error(), strings.ToLower(says))) {
			t.Errorf("%s: %v; want %q", answer, err, says)
		}
		if says == "" {
			continue
		}
		ignore := map[string]any{"ignore": []string{"status", "result", "success", "errorMessage", "responseCode", "code", "errmsg"}}
		if _, rows, err := all(t, map[string]any{"base_url": srv.URL + "/x", "pagination": ignore}); err != nil || len(rows) > 0 {
			t.Errorf("%s, which the settings say is no error: %d rows, %v", answer, len(rows), err)
		}
	}
}
