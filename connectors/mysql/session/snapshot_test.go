package session

import (
	"testing"
	"time"
)

func TestUnchanged(t *testing.T) {
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC).Unix()
	was := Moment{at: at, up: 1000, Binlog: "log.000001:400"}
	for name, c := range map[string]struct {
		is      Moment
		updated string
		want    bool
	}{
		"the log stands":                 {Moment{at + 90, 1001, "log.000001:400"}, "", true},
		"the log went on":                {Moment{at + 90, 1000, "log.000001:401"}, "", false},
		"the log went on with others":    {Moment{at + 90, 1000, "log.000001:401"}, "2024-05-06 07:08:00", true},
		"changed since":                  {Moment{at + 90, 1000, ""}, "2024-05-06 07:08:10", false},
		"changed just before":            {Moment{at + 90, 1000, ""}, "2024-05-06 07:08:08", false},
		"the server forgot":              {Moment{at + 90, 1000, ""}, "", false},
		"the server started anew":        {Moment{at + 90, 2000, "log.000001:400"}, "2024-05-06 07:00:00", false},
		"nothing is told of either time": {Moment{}, "", false},
	} {
		if got := Unchanged(was, c.is, c.updated); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if again, ok := ParseMoment(was.String()); !ok || again != was {
		t.Errorf("%q is read as %v", was, again)
	}
}
