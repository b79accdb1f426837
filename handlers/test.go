package handlers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/outcome"
)

// stepNames are the steps of a test, in order; every outcome tells all of them.
var stepNames = [...]string{"resolve", "connect", "authenticate", "permissions", "read"}

// test tries a configuration, tells how far it came, and saves nothing. The
// test has an address of its own, whose secrets are destroyed with the outcome.
func (h *Handlers) test(ctx context.Context, j *job, c *command.TestConnection) error {
	v, err := j.load(ctx)
	if err != nil {
		return err
	}
	if !v.ended {
		steps, why, err := j.try(ctx, settings{c.Connector, c.Config, c.SecretRef})
		if err != nil {
			return err
		}
		_, err = j.advance(ctx, func(v view) (move, error) {
			if v.ended {
				return move{}, nil
			}
			return move{data: tested(j, c, steps, why)}, nil
		})
		if err != nil {
			return err
		}
	}
	return j.destroyTest(ctx)
}

func (j *job) destroyTest(ctx context.Context) error {
	j.h.connectors.Forget(j.address.Tokens())
	if err := j.h.vault.Destroy(ctx, j.address); err != nil {
		return fmt.Errorf("destroy the test's secrets: %w", err)
	}
	return nil
}

// try opens and checks a source. It returns the steps that were taken and the
// failure that is the outcome, or an error for which to try the command again.
func (j *job) try(ctx context.Context, s settings) (steps []driver.Step, why, err error) {
	work, cancel := j.work(ctx)
	defer cancel()
	work, cancelLimit := j.h.limited(work)
	defer cancelLimit()
	begun := time.Now()
	steps, err = j.check(work, s)
	if err = causeOf(work, err); err == nil {
		return steps, nil, nil
	}
	if !ofSource(ctx, err) {
		return nil, nil, err
	}
	if len(steps) == 0 || steps[len(steps)-1].Err == nil {
		steps = append(steps, driver.Step{Name: stepOf(err), Duration: time.Since(begun), Err: err})
	}
	return steps, err, nil
}

func (j *job) check(ctx context.Context, s settings) ([]driver.Step, error) {
	conn, err := j.open(ctx, s, driver.Limits{})
	if err != nil {
		return nil, err
	}
	defer j.closing(conn)
	return conn.Check(ctx)
}

// stepOf returns the step at which an error shows up that came without steps.
func stepOf(err error) string {
	switch {
	case errors.Is(err, driver.ErrInvalidConfig):
		return "resolve"
	case errors.Is(err, driver.ErrUnreachable), errors.Is(err, driver.ErrTimeout):
		return "connect"
	case errors.Is(err, driver.ErrAuthentication):
		return "authenticate"
	case errors.Is(err, driver.ErrPermission), errors.Is(err, driver.ErrNotFound):
		return "permissions"
	case errors.Is(err, driver.ErrBadData), errors.Is(err, driver.ErrUnsupported), errors.Is(err, driver.ErrLimit):
		return "read"
	}
	return "connect"
}

// tested returns the outcome of a test.
func tested(j *job, c *command.TestConnection, steps []driver.Step, why error) *event.ConnectionTested {
	e := &event.ConnectionTested{
		Meta: j.meta(true), Connector: c.Connector, OK: why == nil,
		Message: "the source can be reached and read", Steps: testSteps(steps, why != nil),
	}
	if why != nil {
		e.Reason, e.Message = outcome.Explain(why)
	}
	return e
}

// testSteps fills up what a source told of its steps: those before the last one
// it told must have passed, those behind a failed one were not tried.
func testSteps(told []driver.Step, failed bool) []event.TestStep {
	byName := make(map[string]driver.Step, len(told))
	last := -1
	for _, s := range told {
		byName[s.Name] = s
		for i, name := range stepNames {
			if name == s.Name {
				last = max(last, i)
			}
		}
	}
	steps := make([]event.TestStep, 0, len(stepNames))
	for i, name := range stepNames {
		step := event.TestStep{Name: name, Status: "ok"}
		s, ok := byName[name]
		switch {
		case ok:
			step.DurationMS, step.Message = s.Duration.Milliseconds(), s.Message
			if s.Err != nil {
				step.Status = "failed"
				if _, message := outcome.Explain(s.Err); step.Message == "" {
					step.Message = message
				}
			}
		case i > last && failed:
			step.Status = "skipped"
		}
		steps = append(steps, step)
	}
	// It never fails a test: not every source is to be followed.
	if s, ok := byName[changesStep]; ok {
		steps = append(steps, event.TestStep{Name: changesStep, Status: "ok", DurationMS: s.Duration.Milliseconds(), Message: s.Message})
	}
	return steps
}

// changesStep is the step of sources with a log of changes: whether it can be read.
const changesStep = "changes"
