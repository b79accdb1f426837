package maintenance

import (
	"testing"

	"headwater/bus/event"
	"headwater/handlers/readmodel"
)

// Which sources are tended is what their history says.
func TestTends(t *testing.T) {
	for name, c := range map[string]struct {
		source readmodel.Source
		want   bool
	}{
		"connected":      {readmodel.Source{Connected: true}, true},
		"removed":        {readmodel.Source{Removal: &readmodel.Removal{}}, false},
		"synced":         {readmodel.Source{Connected: true, Running: &readmodel.Running{}}, false},
		"switched off":   {readmodel.Source{Connected: true, Sync: []byte(`{"maintenance":"off"}`)}, false},
		"of other rules": {readmodel.Source{Connected: true, Sync: []byte(`{"batch_size":7}`)}, true},
	} {
		m := &Maintenance{State: oneSource{source: c.source}}
		if got, err := (&tending{of: m}).tends(event.Address{}); err != nil || got != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// oneSource is a State of one source.
type oneSource struct {
	readmodel.State
	source readmodel.Source
}

func (s oneSource) Source(event.Address) (readmodel.Source, error) { return s.source, nil }
