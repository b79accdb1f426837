package handlers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/handlers/outcome"
	"headwater/projections"
)

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		err  error
		want event.Reason
		says string
	}{
		{driver.E(driver.ErrNotFound, nil, "no table x"), event.ReasonNotFound, "no table x"},
		{fmt.Errorf("sync: %w", driver.E(driver.ErrBadData, nil, "row 12")), event.ReasonBadData, "row 12"},
		{fmt.Errorf("%w: /var/lake: no space left", landing.ErrStorage), event.ReasonStorage, "lake"},
		{fmt.Errorf("%w: write part: %w", landing.ErrStorage, syscall.ENOSPC), event.ReasonStorage, "disk is full"},
		{fmt.Errorf("landing x: %w: column \"a\"", landing.ErrSchemaChanged), event.ReasonSchemaChanged, "landed before: column \"a\""},
		{fmt.Errorf("open: %w", seal.ErrDestroyed), event.ReasonSecretDestroyed, "connect it again"},
		{context.DeadlineExceeded, event.ReasonTimeout, "time limit"},
		{context.Canceled, event.ReasonCancelled, "stopped"},
		{fmt.Errorf("give up: %w", &bus.UnansweredError{Workers: 5}), event.ReasonInternal, "ended 5 times while it was at it (killed, or out of memory), and it is tried no more often: request it again"},
		{errors.New("dial hunter2"), event.ReasonInternal, "the service's log"},
		{outcome.Failf(event.ReasonLimit, "%d tables", 3), event.ReasonLimit, "3 tables"},
	} {
		reason, message := outcome.Explain(c.err)
		if reason != c.want || !strings.Contains(message, c.says) || strings.Contains(message, "hunter2") {
			t.Errorf("outcome.Explain(%v) = %s, %q", c.err, reason, message)
		}
	}
}

// A command of a shape that this build cannot read ends as well.
func TestUnreadableCommandEnds(t *testing.T) {
	w := newWorld(t, quick())
	c := w.syncCommand(command.SyncOptions{})
	body := fmt.Sprintf(`{"organization":"another","operation":{"id":%q,"kind":"sync","targets":1},"sync_id":7}`, c.Operation.ID)
	msg := message.NewMessage("0190a000-0000-7000-8000-00000000ffff", []byte(body))
	for k, v := range map[string]string{
		event.HeaderID: msg.UUID, event.HeaderType: event.Type("SyncSource"), event.HeaderSpecVersion: "1.0",
		event.HeaderTime: time.Now().UTC().Format(time.RFC3339Nano),
	} {
		msg.Metadata.Set(k, v)
	}
	w.check(w.bus.Publisher().Publish(command.SubjectPrefix+"."+w.address.Tokens()+".SyncSource", msg))
	if op := w.ended(c); op.Status != projections.StatusFailed {
		t.Errorf("%+v", op.Targets)
	}
	w.wantOutcomes("CommandRejected")
}

func TestRunningSyncLetsOthersWrite(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	reached, release := w.hold(3)
	defer release()
	c := w.syncCommand(command.SyncOptions{BatchSize: 10})
	w.send(c)
	<-reached
	rotated := w.connectCommand(`{"host":"b"}`, `{"password":"hunter3"}`)
	w.do(rotated)
	release()
	if op := w.ended(c); op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	w.wantLanded("orders", 0, 100)
}

func TestStillSyncShowsThatItLives(t *testing.T) {
	o := quick()
	o.HeartbeatEvery = 20 * time.Millisecond
	w := newWorld(t, o)
	w.connect()
	_, release := w.hold(0)
	defer release()
	c := w.syncCommand(command.SyncOptions{})
	w.send(c)
	w.eventually("three signs of life", func() bool {
		n := 0
		for _, name := range w.names(w.address) {
			if name == "SyncProgressed" {
				n++
			}
		}
		return n >= 3
	})
	release()
	w.ended(c)
}

// Stop gives running syncs back, and the next worker goes on.
func TestStopGivesSyncsBack(t *testing.T) {
	o := quick()
	o.CommitBytes = 100
	w := newWorld(t, o)
	w.connect()
	reached, release := w.hold(3)
	defer release()
	c := w.syncCommand(command.SyncOptions{BatchSize: 10, Mode: landing.Incremental})
	ended := make(chan error, 1)
	stopped := New(Deps{
		Events: w.bus, State: w.handlers.histories.State, Connectors: w.handlers.inspector.Connectors, Lake: faultyLake{Landing(w.lake), w}, Vault: w.vault, Options: o,
	})
	j := stopped.histories.Job(&command.Command{ID: "0190a000-0000-7000-8000-0000000000bb", Data: c})
	go func() { ended <- stopped.syncs.Sync(t.Context(), j, c) }()
	<-reached
	stopped.Stop()
	stopped.Stop()
	if _, snoozed := bus.Snoozed(<-ended); !snoozed {
		t.Error("a stopped sync counts as failed or done")
	}
	if _, snoozed := bus.Snoozed(stopped.syncs.Sync(t.Context(), j, c)); !snoozed {
		t.Error("a worker that stops took a sync")
	}
	release()
	w.do(c)
	w.wantLanded("orders", 0, 100)
	if started := last[*event.SyncStarted](w); started.Attempt != 2 {
		t.Errorf("%+v", started)
	}
	// One batch was being made durable while the next was read.
	if sent := w.source.sent("orders"); sent > 120 {
		t.Errorf("%d rows were read for 100", sent)
	}
}

// A table that is dropped from the lake under its writer is that table's
// failure, for the sync is still this worker's.
func TestTableFencedByNobody(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("customers", 3)
	w.connect()
	w.faults.begin = func(target landing.Target) error {
		if target.Table.Name == "orders" {
			return landing.ErrFenced
		}
		return nil
	}
	w.do(w.syncCommand(command.SyncOptions{}))
	done := last[*event.SyncCompleted](w)
	i := slices.IndexFunc(done.Tables, func(r event.TableResult) bool { return r.Name == "orders" })
	if done.Status != "partial" || done.Tables[i].Reason != event.ReasonConflict {
		t.Errorf("%+v", done)
	}
}

// A panic while a table lands is that table's failure.
func TestPanicWhileLanding(t *testing.T) {
	w := newWorld(t, quick())
	w.source.put("customers", 3)
	w.connect()
	var panics atomic.Int64
	w.faults.commit = func(table string, _ bool) error {
		if table == "orders" {
			panics.Add(1)
			panic("hunter2")
		}
		return nil
	}
	w.do(w.syncCommand(command.SyncOptions{}))
	done := last[*event.SyncCompleted](w)
	if done.Status != "partial" || panics.Load() != 1 {
		t.Errorf("%d panics: %+v", panics.Load(), done)
	}
}
