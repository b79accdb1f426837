package jobs

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/quota"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/projections"
)

// Commands sends commands to the workers. *bus.Bus implements it.
type Commands interface {
	// Send returns nil once the command is durable. A command with an id that
	// was sent before is stored once. After an error the command may or may not
	// have been stored.
	Send(ctx context.Context, c *command.Command) error
}

// Model is what jobs wait for in the read model. *projections.Store implements it,
// and documents each method.
type Model interface {
	Position() uint64
	Wait(ctx context.Context, sequence uint64) error
	Operation(organization, workspace, id string) (projections.Operation, error)
	WaitOperation(ctx context.Context, organization, workspace, id string) (projections.Operation, error)
}

// Secrets deletes sealed secrets that no command will use. *seal.Vault implements
// it.
type Secrets interface {
	// Forget deletes sealed secrets. Unknown ones are not an error.
	Forget(ctx context.Context, a event.Address, ref string) error
}

// Limits limit what jobs may cost.
type Limits struct {
	Wait         time.Duration // how long a command waits for its outcome
	MaxWait      time.Duration // the most that Prefer: wait may ask for
	Send         time.Duration // how long to try to send commands that the bus does not accept
	Deadline     time.Duration // of every command but a sync
	SyncDeadline time.Duration // of syncs
	MaxInFlight  int           // commands that one workspace may have in progress; its organization 4 times as many
}

// Runner carries out jobs and acts. All fields are required. It is safe for
// concurrent use.
type Runner struct {
	Commands Commands
	Events   call.Events
	Model    Model
	Secrets  Secrets
	Repeats  *idempotency.Keeper
	Draining <-chan struct{} // closed when waits have to end
	Log      *slog.Logger
	Limits   Limits

	inFlight quota.Limiter
	work     sync.WaitGroup // jobs and acts in progress
}

// Wait waits until nothing is in progress any more, even what was begun by clients
// that have disconnected since. No job may begin meanwhile.
func (u *Runner) Wait() { u.work.Wait() }

// commandShares are the shares that each command takes one of.
func (u *Runner) commandShares(r *call.Request) []quota.Share {
	most := u.Limits.MaxInFlight
	return []quota.Share{r.OfWorkspace(most), r.OfOrganization(4 * int64(most))}
}

// Do answers a POST that sends commands: it claims the Idempotency-Key,
// plans, and runs the job in a goroutine that goes on if the client disconnects.
func (u *Runner) Do(r *call.Request, plan Plan) (*web.Answer, error) {
	prefer := u.preferences(r.HTTP.Header)
	shares := u.commandShares(r)
	if full := u.inFlight.Enter(1, shares...); full != nil {
		return nil, crowded(full)
	}
	begun := false
	defer func() {
		if !begun {
			u.inFlight.Leave(1, shares...)
		}
	}()
	ctx := r.HTTP.Context()
	claim, again, err := u.claim(ctx, r)
	if again != nil || err != nil {
		return again, err
	}
	s, prior := claim.Seed(), claim.Targets()
	j, err := plan(r, s, prior)
	if err != nil {
		return nil, err
	}
	if j.Done != nil {
		return j.Done, claim.Keep(ctx, j.Done)
	}
	if err := claim.Begin(ctx, j.Targets); err != nil {
		return nil, err
	}
	_ = http.NewResponseController(r.Writer).SetWriteDeadline(time.Now().Add(prefer.wait + u.Limits.Send + call.AnswerTime))

	t := &task{
		Job: j, runner: u, seed: s, id: s.ID("op_"), request: r.HTTP.Header.Get(call.HeaderRequestID), caller: r.Caller, workspace: r.Workspace,
		trace: call.TraceOf(r.HTTP.Header), deadline: u.Limits.Deadline, location: r.Operations(), prefer: prefer, claim: claim,
	}
	if j.Kind == event.KindSync {
		t.deadline = u.Limits.SyncDeadline
	}
	begun = true
	outcome := make(chan result, 1)
	u.work.Add(1)
	go func() {
		defer u.work.Done()
		o := t.run(context.WithoutCancel(ctx))
		u.inFlight.Leave(1, shares...) // before the answer, so that the caller's next request finds its place free
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
func (u *Runner) claim(ctx context.Context, r *call.Request) (*idempotency.Claim, *web.Answer, error) {
	return u.Repeats.Claim(ctx, r.HTTP.Header, idempotency.Call{
		Organization: r.Caller.Organization,
		Parts:        []string{r.Caller.Organization, r.Caller.Username, r.Method, r.Path, r.Workspace, r.Variable("operation_id") + r.Variable("webhook_id") + r.Variable("source_id")},
		Content:      []string{r.Query.Encode(), string(r.Body)},
	})
}

// crowded returns the 429 for a caller with too many commands in progress.
func crowded(full *quota.Share) *web.Failure {
	return web.Fail(http.StatusTooManyRequests, "too_many_requests", "%s %d commands under way already; wait for one to end", full.Whom, full.Most).Later(time.Second)
}
