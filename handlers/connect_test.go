package handlers

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors/driver"
	"headwater/projections"
)

func (w *world) destroyed(ref string) bool {
	w.t.Helper()
	_, err := w.vault.Open(w.t.Context(), w.address, ref)
	if err != nil && !errors.Is(err, seal.ErrDestroyed) {
		w.t.Fatal(err)
	}
	return err != nil
}

func TestConnectSavesSettingsAndSchema(t *testing.T) {
	w := newWorld(t, quick())
	c := w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
	if op := w.do(c); op.Status != projections.StatusCompleted {
		t.Fatalf("%+v", op.Targets)
	}
	w.wantOutcomes("SourceConnected", "SchemaDiscovered")
	schema := last[*event.SchemaDiscovered](w)
	if schema.Version != 1 || schema.Cause != "connect" || len(schema.Tables) != 1 || !schema.Operation.Final {
		t.Errorf("%+v", schema)
	}
	connected := last[*event.SourceConnected](w)
	if connected.ConfigVersion != 1 || connected.SecretRef != c.SecretRef || connected.Operation.Final {
		t.Errorf("%+v", connected)
	}
	if w.idle(); w.destroyed(c.SecretRef) {
		t.Error("the secrets in use were destroyed")
	}
}

func TestConnectAgain(t *testing.T) {
	w := newWorld(t, quick())
	first := w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
	w.do(first)

	same := w.connectCommand(`{ "host": "a" }`, `{"password":"hunter2"}`)
	w.do(same)
	w.wantOutcomes("SourceConnected", "SchemaDiscovered", "SourceConnected")
	if e := last[*event.SourceConnected](w); !e.Unchanged || !e.Operation.Final || e.ConfigVersion != 1 || e.SecretRef != first.SecretRef {
		t.Errorf("an identical connect: %+v", e)
	}
	if w.idle(); w.destroyed(first.SecretRef) || !w.destroyed(same.SecretRef) {
		t.Error("an identical connect kept the wrong secrets")
	}

	rotated := w.connectCommand(`{"host":"a"}`, `{"password":"hunter3"}`)
	w.do(rotated)
	if e := last[*event.SourceConnected](w); e.Unchanged || !e.Operation.Final || e.ConfigVersion != 2 || e.SecretRef != rotated.SecretRef {
		t.Errorf("rotated credentials: %+v", e)
	}
	if w.idle(); !w.destroyed(first.SecretRef) || w.destroyed(rotated.SecretRef) {
		t.Error("a rotation kept the wrong secrets")
	}

	w.source.put("customers", 3)
	grown := w.connectCommand(`{"host":"b"}`, `{"password":"hunter3"}`)
	w.do(grown)
	if e := last[*event.SchemaDiscovered](w); e.Version != 2 || e.Diff.Breaking || len(e.Diff.Added) != 1 || e.Diff.Added[0] != "public.customers" {
		t.Errorf("the schema's second version: %+v", e)
	}
	w.idle()

	other := w.connectCommand(`{"host":"b"}`, `{"password":"hunter4"}`)
	other.Type, other.Connector = "api", "other"
	if op := w.do(other); op.Status != projections.StatusFailed || op.Targets[0].Reason != event.ReasonConflict {
		t.Errorf("another type under the name: %+v", op.Targets)
	}
	if w.idle(); w.destroyed(grown.SecretRef) || !w.destroyed(other.SecretRef) {
		t.Error("a refused connect kept the wrong secrets")
	}
}

func TestConnectFailsWithAReason(t *testing.T) {
	w := newWorld(t, quick())
	w.source.onOpen = func(password string) error {
		return driver.E(driver.ErrAuthentication, nil, "the server refused user shop with %s", password)
	}
	c := w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
	op := w.do(c)
	target := op.Targets[0]
	if op.Status != projections.StatusFailed || target.Reason != event.ReasonAuthentication || strings.Contains(target.Message, "hunter2") ||
		!strings.Contains(target.Message, "refused user shop") {
		t.Errorf("%+v", target)
	}
	w.wantOutcomes("SourceConnectFailed")
	if w.idle(); !w.destroyed(c.SecretRef) {
		t.Error("the secrets of a failed connect are kept")
	}
}

func TestConnectLimitsTheSchema(t *testing.T) {
	o := quick()
	o.MaxTables = 1
	w := newWorld(t, o)
	w.source.put("customers", 3)
	if op := w.do(w.connectCommand(`{"host":"a"}`, `{}`)); op.Targets[0].Reason != event.ReasonLimit {
		t.Errorf("%+v", op.Targets)
	}
}

func TestConnectSurvivesItsWorker(t *testing.T) {
	for _, step := range []string{"appended SourceConnected", "appended SchemaDiscovered"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t, quick())
			w.seams.kill(step, 1)
			c := w.connectCommand(`{"host":"a"}`, ``)
			c.SecretRef = ""
			w.do(c)
			w.idle()
			w.wantOutcomes("SourceConnected", "SchemaDiscovered")
			if w.seams.killed() != 1 {
				t.Error("nothing was killed")
			}
			if e := last[*event.SchemaDiscovered](w); !e.Operation.Final {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestConnectOfARemovedSource(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	w.do(&command.RemoveSource{Meta: w.operation(event.KindCleanup)})
	w.idle()
	c := w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
	if op := w.do(c); op.Targets[0].Reason != event.ReasonConflict {
		t.Errorf("%+v", op.Targets)
	}
	if w.idle(); !w.destroyed(c.SecretRef) {
		t.Error("a secret of a removed source lives")
	}
}

func TestConnectAtOnce(t *testing.T) {
	w := newWorld(t, quick())
	var all []*command.ConnectSource
	for _, host := range []string{"a", "b", "c", "d"} {
		all = append(all, w.connectCommand(`{"host":"`+host+`"}`, `{"password":"hunter2"}`))
	}
	for _, c := range all {
		w.send(c)
	}
	for _, c := range all {
		if op := w.ended(c); op.Status != projections.StatusCompleted {
			t.Errorf("%+v", op.Targets)
		}
	}
	w.idle()
	source, err := w.store.Source(w.address)
	w.check(err)
	if source.ConfigVersion != 4 {
		t.Errorf("config version %d", source.ConfigVersion)
	}
	for _, c := range all {
		if w.destroyed(c.SecretRef) != (c.SecretRef != source.SecretRef) {
			t.Errorf("secret %s: destroyed %v, in use %s", c.SecretRef, w.destroyed(c.SecretRef), source.SecretRef)
		}
	}
}

// A connect that is overtaken between its two events still ends, and does not
// bring its settings back.
func TestConnectOvertakenHalfway(t *testing.T) {
	w := newWorld(t, quick())
	first := w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
	second := w.connectCommand(`{"host":"b"}`, `{"password":"hunter3"}`)
	var once atomic.Bool
	w.seams.at = func(step string) {
		if step == "appended SourceConnected" && once.CompareAndSwap(false, true) {
			w.do(second)
		}
	}
	if op := w.do(first); op.Status != projections.StatusCompleted {
		t.Errorf("%+v", op.Targets)
	}
	w.idle()
	source, err := w.store.Source(w.address)
	w.check(err)
	if source.ConfigVersion != 2 || source.SecretRef != second.SecretRef || string(source.Config) != `{"host":"b"}` {
		t.Errorf("%+v", source)
	}
	if !w.destroyed(first.SecretRef) || w.destroyed(second.SecretRef) {
		t.Error("the wrong secrets are kept")
	}
}

func TestGivenUpCommandsEnd(t *testing.T) {
	t.Run("deadline passed", func(t *testing.T) {
		w := newWorld(t, quick())
		c := w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`)
		c.Deadline = time.Now().Add(-time.Second)
		if op := w.do(c); op.Targets[0].Reason != event.ReasonTimeout {
			t.Errorf("%+v", op.Targets)
		}
		if w.idle(); w.source.opened != 0 || !w.destroyed(c.SecretRef) {
			t.Error("an overdue command was begun, or its secrets are kept")
		}
	})
	t.Run("retries used up", func(t *testing.T) {
		w := newWorld(t, quick())
		tries := 0
		w.faults.append = func(e *event.Event) error {
			if e.Name() == "SourceConnected" {
				tries++
				return errors.New("broken with hunter2")
			}
			return nil
		}
		op := w.do(w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`))
		if op.Targets[0].Reason != event.ReasonInternal || strings.Contains(op.Targets[0].Message, "hunter2") || tries < 2 {
			t.Errorf("after %d tries: %+v", tries, op.Targets)
		}
		w.wantOutcomes("SourceConnectFailed")
	})
	t.Run("panic", func(t *testing.T) {
		w := newWorld(t, quick())
		w.seams.at = func(step string) { panic("hunter2 " + step) }
		op := w.do(w.connectCommand(`{"host":"a"}`, `{"password":"hunter2"}`))
		if op.Status == projections.StatusRunning {
			t.Errorf("%+v", op.Targets)
		}
	})
	t.Run("a test's secrets", func(t *testing.T) {
		w := newWorld(t, quick())
		w.address.Source = "tst_1"
		ref := w.seal(`{"password":"hunter2"}`)
		m := w.operation(event.KindTest)
		m.Deadline = time.Now().Add(-time.Second)
		w.do(&command.TestConnection{Meta: m, Connector: "fake", SecretRef: ref})
		if w.idle(); !w.destroyed(ref) {
			t.Error("they are kept")
		}
		w.wantOutcomes("ConnectionTested")
	})
	t.Run("every other verb", func(t *testing.T) {
		w := newWorld(t, quick())
		w.connect()
		past := func(kind string) command.Meta {
			m := w.operation(kind)
			m.Deadline = time.Now().Add(-time.Second)
			return m
		}
		for _, data := range []command.Data{
			&command.TestConnection{Meta: past(event.KindTest), Connector: "fake"},
			&command.SyncSource{Meta: past(event.KindSync), SyncID: "syn_late"},
			&command.RemoveSource{Meta: past(event.KindCleanup)},
			&command.DiscoverSchema{Meta: past(event.KindDiscover)},
		} {
			op := w.do(data)
			if op.Targets[0].Reason != event.ReasonTimeout {
				t.Errorf("%s: %+v", data.CommandName(), op.Targets)
			}
		}
		sync, err := w.store.Sync("acme", "w1", "syn_late")
		if err != nil || sync.Status != projections.StatusFailed {
			t.Errorf("the sync that was never begun: %+v, %v", sync, err)
		}
	})
}
