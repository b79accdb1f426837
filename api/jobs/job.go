// Package jobs carries out what a POST asks for: a plan becomes a job, its commands
// go to the bus, and its answer is composed from their outcomes in the read model.
//
//	plan -> claim -> job -> commands on the bus -> wait for the operation -> compose
//
// A client that disconnects ends its wait and nothing else.
package jobs

import (
	"context"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/web"
	"headwater/bus/command"
	"headwater/projections"
)

// Plan validates a POST and returns what to do, without doing any of it. prior
// are the targets of a request that is being resumed: the plan keeps them even
// if the sources have changed since. Its error is shown to the caller if it is a
// *web.Failure.
type Plan func(r *call.Request, s idempotency.Seed, prior []idempotency.Target) (*Job, error)

// Job is what a request asks for: one command for each target, and an answer
// composed from their outcomes.
type Job struct {
	Kind    string
	Owner   string // of the sources, "" for the organization
	Targets []idempotency.Target
	// Payload returns the command of a target; it may seal secrets. The fields
	// that all payloads share are filled in later. It is called concurrently.
	Payload func(ctx context.Context, t idempotency.Target) (command.Data, error)
	// Compose returns the answer after the operation has ended.
	Compose func(op projections.Operation) (*web.Answer, error)
	// Follows is the id of another operation to wait for instead of the job's
	// own; "" for none.
	Follows string
	// Until returns when the awaited condition holds or ctx is done. If it is
	// nil, the wait is for the end of the operation.
	Until func(ctx context.Context) error
	// Done is the answer if there is nothing to do.
	Done *web.Answer
}
