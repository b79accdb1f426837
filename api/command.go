package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"headwater/api/auth"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

// plan looks at a POST and says what is to be done, without doing any of it.
// prior are the targets of a request that is taken up again: the plan keeps
// them, whatever has changed since.
type plan func(h *Handler, r *request, s seed, prior []target) (*job, error)

// job is what a request comes to: one command for each target, and an answer
// made from what became of them.
type job struct {
	kind    string
	owner   string // of the sources, "" for the organization
	targets []target
	// payload returns the command of a target; it may seal secrets. The fields
	// that every payload carries are filled in later.
	payload func(ctx context.Context, t target) (command.Data, error)
	// compose makes the answer when the operation has ended.
	compose func(op projections.Operation) (*answer, error)
	// follows is another operation whose end is waited for, instead of the
	// job's own.
	follows string
	// until returns when what is waited for has happened or ctx ends; nil waits for
	// the operation's end.
	until func(ctx context.Context) error
	// done is the answer when there is nothing to do.
	done *answer
}

// target is one source of a job. It holds nothing secret: it is kept with the
// Idempotency-Key.
type target struct {
	SourceID string `json:"source_id"`
	Name     string `json:"name,omitempty"`
	SyncID   string `json:"sync_id,omitempty"`
	Attached bool   `json:"attached,omitempty"` // waits for the sync, sends no command
	At       int    `json:"at"`                 // its place in the request
}

// task is a job under way.
type task struct {
	*job
	h         *Handler
	seed      seed
	id        string // of the operation
	request   string // its X-Request-Id
	caller    auth.Claims
	workspace string
	trace     string
	deadline  time.Duration
	location  string // of operations
	prefer    preference
	claim     *claim // of the Idempotency-Key, nil without one
	accepted  bool   // OperationAccepted is in the log
}

// command answers a POST: it plans, takes the Idempotency-Key, and does the
// work where the client's leaving does not end it.
func (h *Handler) command(w http.ResponseWriter, r *request) (*answer, error) {
	prefer := h.preferences(r.http.Header)
	shares := h.commandShares(r)
	if full := h.limits.enter(1, shares...); full != nil {
		return nil, crowded(full)
	}
	begun := false
	defer func() {
		if !begun {
			h.limits.leave(1, shares...)
		}
	}()
	ctx := r.http.Context()
	claim, again, err := h.claim(ctx, r)
	if again != nil || err != nil {
		return again, err
	}
	s, prior := newSeed(time.Now()), []target(nil)
	if claim != nil {
		s, prior = claim.record.Seed, claim.record.Targets
	}
	j, err := r.route.plan(h, r, s, prior)
	if err != nil {
		return nil, err
	}
	if j.done != nil {
		return j.done, claim.keep(ctx, j.done)
	}
	if err := claim.begin(ctx, j.targets); err != nil {
		return nil, err
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(prefer.wait + h.Options.Send + answerTime))

	t := &task{
		job: j, h: h, seed: s, id: s.id("op_"), request: r.http.Header.Get(headerRequestID), caller: r.caller, workspace: r.workspace,
		trace: traceOf(r.http.Header), deadline: h.Options.Deadline, location: r.operations(), prefer: prefer, claim: claim,
	}
	if j.kind == event.KindSync {
		t.deadline = h.Options.SyncDeadline
	}
	begun = true
	outcome := make(chan result, 1)
	h.work.Add(1)
	go func() {
		defer h.work.Done()
		defer h.limits.leave(1, shares...)
		outcome <- t.run(context.WithoutCancel(ctx))
	}()
	select {
	case o := <-outcome:
		return o.answer, o.err
	case <-ctx.Done():
		return nil, nil
	}
}

// crowded refuses what somebody has too much of under way.
func crowded(full *share) *failure {
	return fail(http.StatusTooManyRequests, "too_many_requests", "%s %d commands under way already; wait for one to end", full.whom, full.most).later(time.Second)
}

type result struct {
	answer *answer
	err    error
}

// run does the work and records its answer under the Idempotency-Key.
func (t *task) run(ctx context.Context) (r result) {
	release := t.claim.hold(ctx)
	defer func() {
		if p := recover(); p != nil {
			t.h.panicked(t.request, p)
			r = result{err: errors.New("panic")}
		}
		release()
		t.claim.finish(ctx, r.answer)
	}()
	r.answer, r.err = t.outcome(ctx)
	var f *failure
	if errors.As(r.err, &f) && f.status < 500 {
		r = result{answer: f.answer()}
	}
	return r
}

// outcome sends the commands and waits for what becomes of them.
func (t *task) outcome(ctx context.Context) (*answer, error) {
	if !t.claim.settled() {
		if err := t.send(ctx); err != nil {
			return nil, err
		}
	}
	for _, target := range t.targets {
		// Nothing in the log would tell of this target until its sync ends.
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
	a, err := t.compose(op)
	if err != nil {
		return nil, err
	}
	t.prefer.applied(a.header, false)
	// Kept with the answer: a repeat on a node that is behind tells it too.
	a.header.Set(headerSequence, strconv.FormatUint(t.h.Reads.Position(), 10))
	return a, nil
}

// operation returns the part of the operation that a target is.
func (t *task) operation(index int) event.Operation {
	return event.Operation{ID: t.id, Kind: t.kind, Targets: len(t.targets), Target: index, Actor: t.caller.Username, RequestID: t.request}
}

func (t *task) address(source string) event.Address {
	return event.Address{Organization: t.caller.Organization, Workspace: t.workspace, Owner: t.owner, Source: source}
}

func traceOf(h http.Header) string {
	if text := h.Get("Traceparent"); trace.MatchString(text) {
		return text
	}
	return ""
}
