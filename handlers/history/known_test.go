package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"headwater/bus"
	"headwater/bus/event"
	"headwater/handlers/readmodel"
)

// countedLog is a history of one source that holds nothing but its length.
type countedLog struct {
	last  uint64
	asked int
}

func (l *countedLog) Append(_ context.Context, after uint64, _ *event.Event) (uint64, error) {
	if after != l.last {
		return 0, fmt.Errorf("at %d: %w", l.last, bus.ErrConflict)
	}
	l.last++
	return l.last, nil
}

func (l *countedLog) LastSequence(context.Context, event.Address) (uint64, error) {
	l.asked++
	return l.last, nil
}

// lateState is a projection that has applied what it was made wait for.
type lateState struct {
	readmodel.State
	applied uint64
	ended   bool
}

func (s *lateState) Wait(_ context.Context, sequence uint64) error {
	s.applied = max(s.applied, sequence)
	return nil
}

func (s *lateState) Source(event.Address) (readmodel.Source, error) {
	return readmodel.Source{Last: s.applied}, nil
}

func (s *lateState) Operation(event.Address, string) (readmodel.Operation, error) {
	return readmodel.Operation{Targets: []readmodel.Target{{Ended: s.ended}}}, nil
}

// What a node knows may be old. A decision on that is carried out only when the
// history says that it is not, and a decision to do nothing is taken again on
// what is new, unless the target has ended.
func TestDecidedOnWhatIsKnown(t *testing.T) {
	restored := Move{Data: &event.SourceRestored{Meta: event.At(event.Address{Source: "s"}, event.Operation{ID: "op", Final: true})}, Stop: true}
	for name, test := range map[string]struct {
		known uint64 // of a history of 7
		ended bool
		next  func(View) (bool, error)
		views []uint64
		asked int
		last  uint64
	}{
		"all is known":         {7, false, func(View) (bool, error) { return true, nil }, []uint64{7}, 0, 8},
		"something is missing": {5, false, func(View) (bool, error) { return true, nil }, []uint64{5, 7}, 1, 8},
		"nothing is known":     {0, false, func(View) (bool, error) { return true, nil }, []uint64{7}, 1, 8},
		"nothing to do so far": {5, false, func(v View) (bool, error) { return v.After == 7, nil }, []uint64{5, 7}, 1, 8},
		"nothing to do":        {7, false, func(View) (bool, error) { return false, nil }, []uint64{7, 7}, 1, 7},
		"an error so far": {5, false, func(v View) (bool, error) {
			if v.After < 7 {
				return false, errors.New("not yet")
			}
			return true, nil
		}, []uint64{5, 7}, 1, 8},
		"the target has ended": {5, true, func(v View) (bool, error) { return !v.Ended, nil }, []uint64{5}, 0, 7},
	} {
		t.Run(name, func(t *testing.T) {
			log, state := &countedLog{last: 7}, &lateState{applied: test.known, ended: test.ended}
			j := &Job{Events: log, State: state, ID: "command", Operation: event.Operation{ID: "op"}}
			var views []uint64
			_, err := j.AdvanceKnown(t.Context(), func(v View) (m Move, err error) {
				views = append(views, v.After)
				moves, err := test.next(v)
				if moves {
					return restored, err
				}
				return m, err
			})
			if err != nil || !slices.Equal(views, test.views) || log.asked != test.asked || log.last != test.last {
				t.Errorf("decided on %v, asked %d times, the history ends at %d (%v); want %v, %d, %d", views, log.asked, log.last, err, test.views, test.asked, test.last)
			}
		})
	}
}
