package handlers

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors/driver"
	"headwater/projections"
)

func TestConnectionIsTested(t *testing.T) {
	for _, c := range []struct {
		name     string
		open     error
		discover string
		reason   event.Reason
		steps    string
	}{
		{name: "works", steps: "ok ok ok ok ok"},
		{name: "unreachable", open: driver.E(driver.ErrUnreachable, nil, "no route to a"), reason: event.ReasonUnreachable, steps: "ok failed skipped skipped skipped"},
		{name: "wrong password", open: driver.E(driver.ErrAuthentication, nil, "refused hunter2"), reason: event.ReasonAuthentication, steps: "ok ok failed skipped skipped"},
		{name: "no rights", open: driver.E(driver.ErrPermission, nil, "may not"), reason: event.ReasonPermission, steps: "ok ok ok failed skipped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, quick())
			w.address.Source = "tst_1"
			w.source.onOpen = func(string) error { return c.open }
			if c.open == nil {
				w.source.onOpen = nil
			}
			ref := w.seal(`{"password":"hunter2"}`)
			op := w.do(&command.TestConnection{
				Meta: w.operation(event.KindTest), Type: "fake", Connector: "fake", Config: json.RawMessage(`{"host":"a"}`), SecretRef: ref,
			})
			if c.open == nil != (op.Status == projections.StatusCompleted) {
				t.Errorf("%+v", op.Targets)
			}
			e := last[*event.ConnectionTested](w)
			steps := []string{}
			for i, s := range e.Steps {
				steps = append(steps, s.Status)
				if s.Name != []string{"resolve", "connect", "authenticate", "permissions", "read"}[i] || s.Status == "failed" && s.Message == "" {
					t.Errorf("%+v", s)
				}
			}
			if strings.Join(steps, " ") != c.steps || e.Reason != c.reason || e.OK != (c.open == nil) || e.Message == "" ||
				strings.Contains(e.Message, "hunter2") || !e.Operation.Final {
				t.Errorf("%+v", e)
			}
			w.idle()
			if _, err := w.vault.Open(t.Context(), w.address, ref); !errors.Is(err, seal.ErrDestroyed) {
				t.Errorf("the test's secrets are kept: %v", err)
			}
			if _, err := w.store.Source(w.address); !errors.Is(err, projections.ErrNotFound) {
				t.Errorf("a test left a source: %v", err)
			}
		})
	}
}

func TestTestSurvivesItsWorker(t *testing.T) {
	w := newWorld(t, quick())
	w.address.Source = "tst_1"
	ref := w.seal(`{"password":"hunter2"}`)
	w.seams.kill("appended ConnectionTested", 1)
	w.do(&command.TestConnection{
		Meta: w.operation(event.KindTest), Type: "fake", Connector: "fake", Config: json.RawMessage(`{"host":"a"}`), SecretRef: ref,
	})
	w.eventually("the secrets to be destroyed", func() bool { return w.destroyed(ref) })
	w.idle()
	w.wantOutcomes("ConnectionTested")
}

func TestDiscoverAlwaysEnds(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	discover := func() *event.SchemaDiscovered {
		if op := w.do(&command.DiscoverSchema{Meta: w.operation(event.KindDiscover)}); op.Status != projections.StatusCompleted {
			t.Fatalf("%+v", op.Targets)
		}
		return last[*event.SchemaDiscovered](w)
	}
	if e := discover(); e.Version != 1 || e.Cause != "discover" || !e.Diff.Empty() {
		t.Errorf("nothing changed: %+v", e)
	}
	w.source.put("customers", 1)
	if e := discover(); e.Version != 2 || len(e.Diff.Added) != 1 {
		t.Errorf("a table more: %+v", e)
	}
	w.source.onOpen = func(string) error { return driver.E(driver.ErrUnreachable, nil, "no route") }
	if op := w.do(&command.DiscoverSchema{Meta: w.operation(event.KindDiscover)}); op.Targets[0].Reason != event.ReasonUnreachable {
		t.Errorf("%+v", op.Targets)
	}
}
