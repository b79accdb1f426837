// Package leaks finds goroutines that a package's tests leave behind, on a machine of
// any speed: one that is about to end has time to.
package leaks

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// limit is how long goroutines may take to end after the tests.
const limit = 30 * time.Second

// Verify runs the tests of a package and ends the process, with a failure if goroutines
// are left that the options do not excuse. Call it in TestMain, last.
func Verify(m *testing.M, excused ...goleak.Option) {
	// nats.go's waits for ever where its connection was closed before it began.
	excused = append(excused, goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
	goleak.VerifyTestMain(patient{m, excused}, excused...)
}

// None fails the test if goroutines are left that do not end within limit. Defer it first.
func None(t testing.TB) {
	t.Helper()
	await(nil)
	goleak.VerifyNone(t)
}

// patient is a package's tests, and the time that their goroutines take to end.
type patient struct {
	tests   *testing.M
	excused []goleak.Option
}

// Run returns the tests' exit code.
func (p patient) Run() int {
	code := p.tests.Run()
	if code == 0 {
		await(p.excused)
	}
	return code
}

// await waits until no goroutine is left, limit at most. Find itself looks for some
// hundred milliseconds.
func await(excused []goleak.Option) {
	for end := time.Now().Add(limit); time.Now().Before(end) && goleak.Find(excused...) != nil; {
	}
}
