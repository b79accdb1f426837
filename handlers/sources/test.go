package sources

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/outcome"
)

// stepNames are the steps of a test, in order; every outcome tells all of them.
var stepNames = [...]string{"resolve", "connect", "authenticate", "permissions", "read"}

// Test tries a configuration, tells how far it came, and saves nothing. The
// test has an address of its own, whose secrets are destroyed with the outcome.
func (s *Sources) Test(ctx context.Context, j *history.Job, c *command.TestConnection) error {
	v, err := j.Load(ctx)
	if err != nil {
		return err
	}
	if !v.Ended {
		steps, why, err := s.try(ctx, j, inspect.Settings{Connector: c.Connector, Config: c.Config, SecretRef: c.SecretRef})
		if err != nil {
			return err
		}
		_, err = j.Advance(ctx, func(v history.View) (history.Move, error) {
			if v.Ended {
				return history.Move{}, nil
			}
			return history.Move{Data: Tested(j, c, steps, why)}, nil
		})
		if err != nil {
			return err
		}
	}
	return s.DestroyTest(ctx, j)
}

// DestroyTest destroys the secrets of a test. It may be repeated; its error is the vault's.
func (s *Sources) DestroyTest(ctx context.Context, j *history.Job) error {
	s.Inspector.Forget(j)
	if err := s.Vault.Destroy(ctx, j.Address); err != nil {
		return fmt.Errorf("destroy the test's secrets: %w", err)
	}
	return nil
}

// try opens and checks a source. It returns the steps that were taken and the
// failure that is the outcome, or an error for which to try the command again.
func (s *Sources) try(ctx context.Context, j *history.Job, by inspect.Settings) (steps []driver.Step, why, err error) {
	work, cancel := j.Work(ctx)
	defer cancel()
	work, cancelLimit := s.Inspector.Limited(work)
	defer cancelLimit()
	begun := time.Now()
	steps, err = s.check(work, j, by)
	if err = outcome.CauseOf(work, err); err == nil {
		return steps, nil, nil
	}
	if !outcome.OfSource(ctx, err) {
		return nil, nil, err
	}
	if len(steps) == 0 || steps[len(steps)-1].Err == nil {
		steps = append(steps, driver.Step{Name: stepOf(err), Duration: time.Since(begun), Err: err})
	}
	return steps, err, nil
}

func (s *Sources) check(ctx context.Context, j *history.Job, by inspect.Settings) ([]driver.Step, error) {
	conn, err := s.Inspector.Open(ctx, j, by, driver.Limits{})
	if err != nil {
		return nil, err
	}
	defer inspect.Close(j, conn)
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

// Tested returns the outcome of a test.
func Tested(j *history.Job, c *command.TestConnection, steps []driver.Step, why error) *event.ConnectionTested {
	e := &event.ConnectionTested{
		Meta: j.Meta(true), Connector: c.Connector, OK: why == nil,
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
