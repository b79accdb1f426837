package rest

import "testing"

// Fields become flags in details too, and nothing is said twice.
func TestDetails(t *testing.T) {
	for _, c := range []struct {
		message string
		details []errorDetail
		want    string
	}{
		{"The configuration cannot be right: source_config.connection_config.port must be at least 1",
			[]errorDetail{{Field: "source_config.connection_config.port", Message: "must be at least 1"}},
			"The configuration cannot be right: --config port must be at least 1"},
		{"No data source was synced: no route (and 1 more)", []errorDetail{{Field: "source_ids[0]", Name: "a", Message: "no route"}, {Field: "source_ids[1]", Name: "b", Message: "no rows"}},
			"No data source was synced\n  a: no route\n  b: no rows"},
		{"sync_options.lookback: has no effect (and 1 more)", []errorDetail{{Field: "sync_options.lookback", Message: "has no effect"}, {Field: "sync_options.merge", Message: "needs a key"}},
			"the request has 2 mistakes\n  --lookback: has no effect\n  --merge: needs a key"},
		{"The schedule was not changed: after: a is synced after this one", []errorDetail{{Field: "schedule", Message: "after: a is synced after this one"}},
			"The schedule was not changed: after: a is synced after this one"},
		{"the request has a mistake", []errorDetail{{Field: "sources[0].name", Message: "must not be empty"}}, "the request has a mistake\n  --name: must not be empty"},
	} {
		if got := once(c.message, c.details); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}
