package bus

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server"

	"headwater/bus/command"
	"headwater/bus/event"
)

// startServer runs a NATS server of its own, as an external one, on a loopback
// port; 0 picks a free one.
func startServer(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(testLimit) {
		t.Fatal("the server did not start")
	}
	t.Cleanup(func() { stopServer(s) })
	return s
}

func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func TestClusterOutOfReach(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{URL: "nats://user:hunter2@127.0.0.1:1", StartWait: time.Second})
	if err == nil || !strings.Contains(err.Error(), "connect to the broker: the NATS cluster was not ready within 1s: nothing answers at 127.0.0.1:1") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("opened: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, Config{URL: "nats://127.0.0.1:1"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited beyond its context: %v", err)
	}
}

func TestTwoNodesShareOneCluster(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), 0).ClientURL()
	one, two := openBus(t, Config{URL: url}), openBus(t, Config{URL: url})
	if _, err := one.Append(t.Context(), 0, testEvent(testAddress, &event.SyncStarted{})); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Append(t.Context(), 0, testEvent(testAddress, &event.SyncStarted{})); !errors.Is(err, ErrConflict) {
		t.Errorf("the other node was not fenced: %v", err)
	}
	if got := readEvents(t, two, 0, 1); got[0].Sequence != 1 {
		t.Errorf("read sequence %d", got[0].Sequence)
	}
}

func TestReplicasMustBeAsConfigured(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), 0).ClientURL()
	openBus(t, Config{URL: url})
	if _, err := Open(t.Context(), Config{URL: url, Replicas: 3}); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "num_replicas") {
		t.Errorf("opened with other replicas: %v", err)
	}
}

// A broker that goes away and comes back is not noticed by readers, workers and
// writers, beyond the wait.
func TestEverythingSurvivesAReconnect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startServer(t, dir, 0)
	port := s.Addr().(*net.TCPAddr).Port
	b := openBus(t, Config{URL: s.ClientURL()})

	handled := make(chan string, 100)
	runJobs(t, b, JobsConfig{Command: "SyncSource", AckWait: 2 * time.Second}, func(msg *message.Message) error {
		handled <- msg.UUID
		return nil
	})
	reader := b.Ordered(0)
	events, err := reader.Subscribe(t.Context(), event.SubjectPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	round := func(n uint64) {
		t.Helper()
		c := testCommand(testAddress, &command.SyncSource{})
		if err := b.Send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Append(t.Context(), n-1, testEvent(testAddress, &event.SyncStarted{})); err != nil {
			t.Fatal(err)
		}
		for deadline := time.After(testLimit); ; {
			select {
			case id := <-handled:
				if id != c.ID {
					continue
				}
			case <-deadline:
				t.Fatalf("round %d: the command was not handled", n)
			}
			break
		}
		select {
		case msg := <-events:
			if e, err := EventOf(msg); err != nil || e.Sequence != n {
				t.Fatalf("round %d: read %+v, %v", n, e, err)
			}
		case <-time.After(testLimit):
			t.Fatalf("round %d: the event was not read", n)
		}
	}
	round(1)
	stopServer(s)
	startServer(t, dir, port)
	round(2)
	round(3)
}
