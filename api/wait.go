package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"headwater/api/web"
	"headwater/bus/event"
	"headwater/projections"
)

// preference is what a client asked for with Prefer (RFC 7240).
type preference struct {
	wait    time.Duration
	async   bool // respond-async
	seconds string
}

// preferences reads the Prefer headers. Unknown and malformed preferences are
// ignored, as RFC 7240 requires.
func (h *Handler) preferences(header http.Header) preference {
	p := preference{wait: h.Options.Wait}
	for _, item := range strings.Split(strings.Join(header.Values("Prefer"), ","), ",") {
		item, _, _ = strings.Cut(item, ";")
		name, value, _ := strings.Cut(item, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "respond-async":
			p.async = true
		case "wait":
			if n, err := strconv.ParseUint(value, 10, 31); err == nil && p.seconds == "" {
				p.wait = min(time.Duration(n)*time.Second, h.Options.MaxWait)
				p.seconds = strconv.Itoa(int(p.wait / time.Second))
			}
		}
	}
	if p.async && p.seconds == "" {
		p.wait = 0
	}
	return p
}

// applied adds Preference-Applied to an answer, naming the preferences that it
// honours.
func (p preference) applied(header http.Header, accepted bool) {
	var honoured []string
	if p.async && accepted {
		honoured = append(honoured, "respond-async")
	}
	if p.seconds != "" {
		honoured = append(honoured, "wait="+p.seconds)
	}
	if honoured != nil {
		header.Set("Preference-Applied", strings.Join(honoured, ", "))
	}
}

// errDraining ends a wait because the node shuts down.
var errDraining = errors.New("the node is shutting down")

// wait waits until the operation has ended, for as long as the client wants to
// wait.
func (t *task) wait(ctx context.Context) (op projections.Operation, ended bool, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ctx, cancel := context.WithTimeout(ctx, t.prefer.wait)
	defer cancel()
	finished := make(chan struct{})
	defer close(finished)
	go func() {
		select {
		case <-t.h.draining:
			stop(errDraining)
		case <-finished:
		}
	}()
	if t.until != nil {
		err = t.until(ctx)
	} else {
		op, err = t.h.Reads.WaitOperation(ctx, t.caller.Organization, t.workspace, t.awaited())
	}
	switch {
	case err == nil:
		return op, true, nil
	case ctx.Err() != nil:
		return op, false, nil
	case errors.Is(err, projections.ErrClosed):
		return op, false, web.Unavailable(err)
	}
	return op, false, err
}

func (t *task) awaited() string {
	if t.follows != "" {
		return t.follows
	}
	return t.id
}

// accept appends OperationAccepted, so that the operation can be read from the
// log before its targets have outcomes.
func (t *task) accept(ctx context.Context) error {
	if t.accepted || t.follows != "" {
		return nil
	}
	targets := make([]event.Target, len(t.targets))
	for i, target := range t.targets {
		targets[i] = event.Target{SourceID: target.SourceID, Name: target.Name, SyncID: target.SyncID, Attached: target.Attached}
	}
	e := &event.Event{
		ID: t.seed.UUID("accepted"), Time: time.Now().UTC(), TraceParent: t.trace,
		Data: &event.OperationAccepted{Meta: event.At(t.address(t.id), t.operation(0)), Accepted: targets},
	}
	sequence, err := t.h.Events.Append(ctx, 0, e)
	if err != nil {
		return web.Unavailable(err)
	}
	t.accepted = true
	// The client may read the operation from this node at once. If the node does
	// not catch up in time, that read answers later; the operation is recorded
	// either way.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = t.h.Reads.Wait(ctx, sequence)
	return nil
}

// later returns the 202 for an operation that has not ended.
func (t *task) later(ctx context.Context) (*web.Answer, error) {
	if err := t.accept(ctx); err != nil {
		return nil, err
	}
	id := t.awaited()
	a, err := web.Success(http.StatusAccepted, "Accepted and still running; see operation "+id, map[string]string{"operation_id": id, "status": projections.StatusRunning})
	if err != nil {
		return nil, err
	}
	a.Header.Set("Location", t.location+id)
	a.Header.Set(headerSequence, strconv.FormatUint(t.h.Reads.Position(), 10))
	t.prefer.applied(a.Header, true)
	return a, nil
}

// operations returns the URL path of the workspace's operations, below the base
// path that the client uses.
func (r *request) operations() string { return r.mount() + r.data() + "/operations/" }

// data returns the URL path of the workspace, without the base path.
func (r *request) data() string { return "/data/" + r.workspace }

// mount returns the base path that the client uses.
func (r *request) mount() string {
	vars := mux.Vars(r.http) // still encoded
	if org, tenant := vars["org"]; tenant {
		return "/jarvispy/" + org + "/" + vars["user"] + basePath
	}
	return basePath
}
