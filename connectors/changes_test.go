package connectors

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"

	"headwater/connectors/driver"
)

// leaky is a log whose every word holds a password.
type leaky struct{ panics bool }

const leaked = "pass4711word"

var errLeaky = errors.New("no " + leaked)

func (leaky) Moment() (moment, position string) { return "", "" }
func (leaky) Refused() map[int]error            { return map[int]error{3: errLeaky} }
func (leaky) Confirm(context.Context, string) error {
	return errLeaky
}
func (leaky) Standing(context.Context) (driver.Standing, error) {
	return driver.Standing{Message: leaked}, errLeaky
}
func (leaky) Close() error { panic(leaked) }

func (l leaky) Changes(context.Context) iter.Seq2[driver.Changes, error] {
	return func(yield func(driver.Changes, error) bool) {
		if !yield(driver.Changes{Notes: []string{leaked}}, nil) {
			return
		}
		if l.panics {
			panic(leaked)
		}
		yield(driver.Changes{}, errLeaky)
	}
}

// What a log of changes says goes out without secrets, also when it panics.
func TestLogsAreScrubbed(t *testing.T) {
	for _, panics := range []bool{false, true} {
		c := &Conn{scrubber: newScrubber(json.RawMessage(`{"password":"` + leaked + `"}`)), timeouts: Timeouts{}.withDefaults()}
		log := &guardedLog{conn: c, log: leaky{panics}}
		standing, err := log.Standing(t.Context())
		said := []error{err, log.Refused()[3], log.Confirm(t.Context(), "1"), log.Close()}
		text := []string{standing.Message}
		n := 0
		for m, err := range log.Changes(t.Context()) {
			n++
			if text = append(text, m.Notes...); err != nil {
				said = append(said, err)
			}
		}
		if n != 2 || len(said) != 5 {
			t.Errorf("%d changes and %d errors came", n, len(said))
		}
		for _, err := range said {
			var typed *driver.Error
			if !errors.As(err, &typed) {
				t.Errorf("%v is no error of a source", err)
				continue
			}
			text = append(text, err.Error())
		}
		if all := strings.Join(text, "\n"); strings.Contains(all, leaked) {
			t.Errorf("a secret is in\n%s", all)
		}
	}
}
