package jobs

import (
	"context"
	"errors"
	"strconv"
	"time"

	"headwater/api/auth"
	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/event"
)

// task is a job in progress.
type task struct {
	*Job
	runner    *Runner
	seed      idempotency.Seed
	id        string // of the operation
	request   string // its X-Request-Id
	caller    auth.Claims
	workspace string
	trace     string
	deadline  time.Duration
	location  string // URL path of operations
	prefer    preference
	claim     *idempotency.Claim // of the Idempotency-Key, nil without one
	accepted  bool               // OperationAccepted is in the log
}

type result struct {
	answer *web.Answer
	err    error
}

// run carries out the job and stores its answer under the Idempotency-Key.
func (t *task) run(ctx context.Context) (r result) {
	release := t.claim.Hold(ctx)
	defer func() {
		if p := recover(); p != nil {
			call.LogPanic(t.runner.Log, t.request, p)
			r = result{err: errors.New("panic")}
		}
		release()
		t.claim.Finish(ctx, r.answer)
	}()
	r.answer, r.err = t.outcome(ctx)
	var f *web.Failure
	if errors.As(r.err, &f) && f.Status < 500 {
		r = result{answer: f.Answer()}
	}
	return r
}

// outcome sends the commands and waits until the operation has ended.
func (t *task) outcome(ctx context.Context) (*web.Answer, error) {
	if !t.claim.Settled() {
		if err := t.send(ctx); err != nil {
			return nil, err
		}
	}
	for _, target := range t.Targets {
		// The log would not mention this target until its sync ends.
		if target.Attached && !t.accepted {
			if err := t.accept(ctx); err != nil {
				return nil, err
			}
		}
	}
	op, ended, err := t.wait(ctx)
	if err != nil {
		return nil, err
	}
	if !ended {
		return t.later(ctx)
	}
	a, err := t.Compose(op)
	if err != nil {
		return nil, err
	}
	t.prefer.applied(a.Header, false)
	// stored with the answer, so that a repeat has it even on a node that is behind
	a.Header.Set(call.HeaderSequence, strconv.FormatUint(t.runner.Model.Position(), 10))
	return a, nil
}

// operation returns the operation as the command of one target carries it.
func (t *task) operation(index int) event.Operation {
	return event.Operation{ID: t.id, Kind: t.Kind, Targets: len(t.Targets), Target: index, Actor: t.caller.Username, RequestID: t.request}
}

func (t *task) address(source string) event.Address {
	return event.Address{Organization: t.caller.Organization, Workspace: t.workspace, Owner: t.Owner, Source: source}
}
