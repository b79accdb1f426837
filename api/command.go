package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"headwater/api/auth"
	"headwater/api/idempotency"
	"headwater/api/quota"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

// plan validates a POST and returns what to do, without doing any of it. prior
// are the targets of a request that is being resumed: the plan keeps them even
// if the sources have changed since.
type plan func(h *Handler, r *request, s idempotency.Seed, prior []idempotency.Target) (*job, error)

// job is what a request asks for: one command for each target, and an answer
// composed from their outcomes.
type job struct {
	kind    string
	owner   string // of the sources, "" for the organization
	targets []idempotency.Target
	// payload returns the command of a target; it may seal secrets. The fields
	// that all payloads share are filled in later.
	payload func(ctx context.Context, t idempotency.Target) (command.Data, error)
	// compose returns the answer after the operation has ended.
	compose func(op projections.Operation) (*web.Answer, error)
	// follows is the id of another operation to wait for instead of the job's
	// own; "" for none.
	follows string
	// until returns when the awaited condition holds or ctx is done. If it is
	// nil, the task waits for the end of the operation.
	until func(ctx context.Context) error
	// done is the answer if there is nothing to do.
	done *web.Answer
}

// task is a job in progress.
type task struct {
	*job
	h         *Handler
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

// command answers a POST that sends commands: it claims the Idempotency-Key,
// plans, and runs the job in a goroutine that goes on if the client disconnects.
func (h *Handler) command(w http.ResponseWriter, r *request) (*web.Answer, error) {
	prefer := h.preferences(r.http.Header)
	shares := h.commandShares(r)
	if full := h.limits.Enter(1, shares...); full != nil {
		return nil, crowded(full)
	}
	begun := false
	defer func() {
		if !begun {
			h.limits.Leave(1, shares...)
		}
	}()
	ctx := r.http.Context()
	claim, again, err := h.claim(ctx, r)
	if again != nil || err != nil {
		return again, err
	}
	s, prior := claim.Seed(), claim.Targets()
	j, err := r.route.plan(h, r, s, prior)
	if err != nil {
		return nil, err
	}
	if j.done != nil {
		return j.done, claim.Keep(ctx, j.done)
	}
	if err := claim.Begin(ctx, j.targets); err != nil {
		return nil, err
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(prefer.wait + h.Options.Send + answerTime))

	t := &task{
		job: j, h: h, seed: s, id: s.ID("op_"), request: r.http.Header.Get(headerRequestID), caller: r.caller, workspace: r.workspace,
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
		o := t.run(context.WithoutCancel(ctx))
		h.limits.Leave(1, shares...) // before the answer, so that the caller's next request finds its place free
		outcome <- o
	}()
	select {
	case o := <-outcome:
		return o.answer, o.err
	case <-ctx.Done():
		return nil, nil
	}
}

// claim reads the request's Idempotency-Key. A call under either base path
// counts as the same call.
func (h *Handler) claim(ctx context.Context, r *request) (*idempotency.Claim, *web.Answer, error) {
	return h.repeats.Claim(ctx, r.http.Header, idempotency.Call{
		Organization: r.caller.Organization,
		Parts:        []string{r.caller.Organization, r.caller.Username, r.route.method, r.route.path, r.workspace, r.variable("operation_id") + r.variable("webhook_id") + r.variable("source_id")},
		Content:      []string{r.query.Encode(), string(r.body)},
	})
}

// fingerprint returns a keyed hash of the texts.
func (h *Handler) fingerprint(purpose string, parts ...string) []byte {
	encoded, _ := json.Marshal(append([]string{purpose}, parts...)) // strings always marshal
	return h.Vault.MAC(encoded)
}

// crowded returns the 429 for a caller with too many commands in progress.
func crowded(full *quota.Share) *web.Failure {
	return web.Fail(http.StatusTooManyRequests, "too_many_requests", "%s %d commands under way already; wait for one to end", full.Whom, full.Most).Later(time.Second)
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
			t.h.panicked(t.request, p)
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
	for _, target := range t.targets {
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
	a, err := t.compose(op)
	if err != nil {
		return nil, err
	}
	t.prefer.applied(a.Header, false)
	// stored with the answer, so that a repeat has it even on a node that is behind
	a.Header.Set(headerSequence, strconv.FormatUint(t.h.Reads.Position(), 10))
	return a, nil
}

// operation returns the operation as the command of one target carries it.
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
