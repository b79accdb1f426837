package bus

import (
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

// What no worker is free for stays with the broker, for a node that has one.
func TestNothingIsFetchedForBusyWorkers(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	const workers = 2
	sendMany(t, b, 20)
	var at, handled atomic.Int64
	free := make(chan struct{})
	runJobs(t, b, JobsConfig{Command: "RemoveSource", Concurrency: workers}, func(*message.Message) error {
		at.Add(1)
		<-free
		handled.Add(1)
		return nil
	})
	eventually(t, "all workers are busy", func() bool { return at.Load() == workers })
	consumer, err := b.jobs.Consumer(t.Context(), StreamCommands, DurableFor("RemoveSource"))
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		info, err := consumer.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.NumAckPending > workers || info.NumWaiting > 0 {
			t.Fatalf("%d commands are with %d workers, and %d requests ask for more", info.NumAckPending, workers, info.NumWaiting)
		}
	}
	close(free)
	eventually(t, "all to be handled", func() bool { return handled.Load() == 20 })
	waitDone(t, b)
}
