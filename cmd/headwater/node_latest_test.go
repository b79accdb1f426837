package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headwater/api/auth"
	"headwater/api/s3"
	"headwater/bus/event"
	"headwater/projections"
)

// running returns a latest whose Run ends with the test.
func running(t *testing.T, end func(context.Context) (uint64, error), wait func(context.Context, uint64) error) *latest {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l, ended := newLatest(end, wait), make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return l
}

// TestLatest holds that an answer is of a question that was sent after it was
// wanted, and that many share one.
func TestLatest(t *testing.T) {
	questions, answers := make(chan struct{}), make(chan uint64)
	var reached []uint64
	l := running(t, func(context.Context) (uint64, error) { questions <- struct{}{}; return <-answers, nil },
		func(_ context.Context, sequence uint64) error { reached = append(reached, sequence); return nil })
	done := make(chan error, 10)
	ask := func() { done <- l.Reach(context.Background()) }
	go ask()
	<-questions // the first is on its way
	for range 4 {
		go ask()
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		waiting := l.asked != nil
		l.mu.Unlock()
		if waiting || time.Now().After(deadline) {
			break
		}
	}
	answers <- 5
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	<-questions
	select {
	case err := <-done:
		t.Errorf("answered by a question of before: %v", err)
	default:
	}
	go func() { answers <- 7 }()
	for ended := 0; ended < 4; {
		select {
		case err := <-done:
			if ended++; err != nil {
				t.Error(err)
			}
		case <-questions: // of who came after the second was sent
			answers <- 8
		}
	}
	if len(reached) < 2 || reached[0] != 5 || reached[1] != 7 {
		t.Errorf("the read model was brought to %v", reached)
	}
	if err := (*latest)(nil).Reach(context.Background()); err != nil {
		t.Errorf("a node that is alone: %v", err)
	}
}

// TestUnknownIsNotGone: while the log does not answer, a token and a source that this
// node does not know may be ones that another has just made.
func TestUnknownIsNotGone(t *testing.T) {
	view, err := projections.Open(projections.Options{Dir: "view", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	var down error
	known := running(t, func(context.Context) (uint64, error) { return 0, down }, view.Wait)
	tokens := &apiTokens{}
	tokens.serve(view, nil, known)
	valid, err := auth.New(t.Context(), auth.Config{Key: make([]byte, 32), Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	holder := s3.Holder{Address: event.Address{Organization: "acme", Workspace: "w", Owner: "ada", Source: "src_none"}}
	check := func(lookup bool) {
		t.Helper()
		_, verified := valid.Verify(auth.NewAPIToken("tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"))
		if errors.Is(verified, auth.ErrLookup) != lookup || !errors.Is(verified, auth.ErrToken) {
			t.Errorf("a token: %v", verified)
		}
		stood := stands(view, someTokens{}, known)(t.Context(), holder)
		if removed := stood != nil && stood.Error() == s3.Withdrawn("The table's source was removed").Error(); removed == lookup {
			t.Errorf("keys: %v", stood)
		}
	}
	check(false)
	down = errors.New("no leader")
	check(true)
}
