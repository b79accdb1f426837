package bus

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"headwater/bus/bustest"
	"headwater/bus/bustest/leaks"
	"headwater/bus/command"
	"headwater/bus/event"
)

func TestMain(m *testing.M) {
	bustest.Main()
	bustest.CheckEvents()
	leaks.Verify(m,
		// Watermill's suite leaves its own helper's goroutines behind.
		goleak.IgnoreAnyFunction("github.com/ThreeDotsLabs/watermill/internal/subscriber.(*multiplier).Subscribe.func2"),
		goleak.IgnoreAnyFunction("github.com/ThreeDotsLabs/watermill/internal/subscriber.(*multiplier).Subscribe.func3"))
}

const testLimit = time.Minute

func testLog() *slog.Logger {
	if os.Getenv("BUS_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// openBus starts an embedded broker over dir, or a fresh folder for "".
func openBus(t *testing.T, cfg Config) *Bus {
	t.Helper()
	if cfg.Dir == "" && cfg.URL == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Log == nil {
		cfg.Log = testLog()
	}
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(t, b) })
	return b
}

func closeBus(t *testing.T, b *Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// eventually waits for a condition instead of sleeping for luck.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testLimit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", testLimit, what)
}

var testAddress = event.Address{Organization: "acme", Workspace: "w1", Owner: "ada", Source: "src_1"}

var lastID atomic.Int64

func testID() string { return fmt.Sprintf("01900000-0000-7000-8000-%012d", lastID.Add(1)) }

func testOperation(kind string) event.Operation {
	return event.Operation{ID: "op_1", Kind: kind, Targets: 1, Actor: "ada"}
}

func testEvent(a event.Address, data event.Data) *event.Event {
	*data.Header() = event.At(a, testOperation(event.KindSync))
	return &event.Event{ID: testID(), Time: time.Now().UTC(), Causation: "cmd-1", Data: data}
}

func testCommand(a event.Address, data command.Data) *command.Command {
	*data.Header() = command.Meta{Meta: event.At(a, testOperation(event.KindSync)), Deadline: time.Now().Add(time.Minute).UTC()}
	return &command.Command{ID: testID(), Time: time.Now().UTC(), Data: data}
}
