package sqldb

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"headwater/connectors/driver"
)

func TestKeptSession(t *testing.T) {
	var k IdleSession[int]
	if _, ok, err := k.Take(); ok || err != nil {
		t.Errorf("nothing was kept: %v, %v", ok, err)
	}
	if !k.Put(1) || k.Put(2) {
		t.Error("one session is kept, and no second one")
	}
	if s, ok, err := k.Take(); s != 1 || !ok || err != nil {
		t.Errorf("took %d, %v, %v", s, ok, err)
	}
	k.Put(3)
	if s, ok := k.Close(); s != 3 || !ok || !k.Closed() {
		t.Errorf("closing returned %d, %v", s, ok)
	}
	if _, ok := k.Close(); ok || k.Put(4) {
		t.Error("something was kept after closing")
	}
	if _, _, err := k.Take(); !errors.Is(err, driver.ErrUnreachable) {
		t.Errorf("taking after closing: %v", err)
	}
}

func TestAwait(t *testing.T) {
	full := errors.New("full")
	crowded := func(err error) bool { return errors.Is(err, full) }
	calls := 0
	s, err := Await(t.Context(), time.Minute, time.Millisecond, crowded, func() (int, error) {
		if calls++; calls < 3 {
			return 0, full
		}
		return 7, nil
	})
	if s != 7 || err != nil || calls != 3 {
		t.Errorf("%d, %v after %d calls", s, err, calls)
	}
	other := errors.New("other")
	for want, limit := range map[error]time.Duration{other: time.Minute, full: 0} {
		if _, err := Await(t.Context(), limit, time.Millisecond, crowded, func() (int, error) { return 0, want }); err != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Await(ended, time.Minute, time.Hour, crowded, func() (int, error) { return 0, full }); err != full {
		t.Errorf("a context that ended: %v", err)
	}
}

func TestStepsOfConnecting(t *testing.T) {
	failed := errors.New("failed")
	dns := &net.DNSError{Err: "no such host"}
	for name, c := range map[string]struct {
		connect func(context.Context, *Trace) (string, error)
		want    []string
		err     error
	}{
		"no such name": {func(context.Context, *Trace) (string, error) { return "", dns }, []string{"resolve "}, dns},
		"not dialled":  {func(context.Context, *Trace) (string, error) { return "", failed }, []string{"connect "}, failed},
		"not let in": {func(_ context.Context, tr *Trace) (string, error) {
			tr.Dialled, tr.Secure = time.Now(), true
			return "", failed
		}, []string{"connect encrypted", "authenticate "}, failed},
		"let in": {func(_ context.Context, tr *Trace) (string, error) {
			tr.Dialled = time.Now()
			return "Server 1", nil
		}, []string{"connect not encrypted", "authenticate Server 1"}, nil},
	} {
		var s Steps
		err := s.Connect(t.Context(), c.connect)
		var got []string
		for _, step := range s.List() {
			got = append(got, step.Name+" "+step.Message)
		}
		if last := s.List()[len(got)-1]; !errors.Is(err, c.err) || last.Err != c.err || len(got) != len(c.want) {
			t.Errorf("%s: %q, %v, want %q, %v", name, got, err, c.want, c.err)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: step %q, want %q", name, got[i], c.want[i])
			}
		}
	}
}

func TestCursorsThatMayStandInStatements(t *testing.T) {
	table := driver.Table{Name: "t"}
	for _, c := range []struct {
		typ   driver.Type
		value string
		ok    bool
	}{
		{driver.Of(driver.Int64), "-12", true}, {driver.Of(driver.Int32), "1 OR 1=1", false}, {driver.Of(driver.Int64), "", false}, {driver.Of(driver.Int64), "0x10", false}, {driver.Of(driver.Int64), "1e5", false},
		{driver.DecimalOf(9, 2), "12.50", true}, {driver.DecimalOf(9, 2), "12.", false}, {driver.DecimalOf(9, 2), "1.2.3", false}, {driver.DecimalOf(9, 2), "--1", false},
		{driver.Of(driver.Date), "2024-02-29", true}, {driver.Of(driver.Date), "2023-02-29", false}, {driver.Of(driver.Date), "2024-02-29'", false},
		{driver.Of(driver.Timestamp), "2024-02-29T10:00:00.000001", true}, {driver.Of(driver.Timestamp), "2024-02-29 10:00:00", false},
		{driver.Of(driver.TimestampTZ), "2024-02-29T10:00:00Z", true}, {driver.Of(driver.TimestampTZ), "2024-02-29T10:00:00", false},
		{driver.Of(driver.String), "it's", true}, {driver.Of(driver.String), "a\x00b", false},
	} {
		if _, err := CheckCursor(table, driver.Column{Name: "c", Type: c.typ}, c.value); (err == nil) != c.ok || err != nil && !errors.Is(err, driver.ErrInvalidConfig) {
			t.Errorf("%s %q: %v", c.typ, c.value, err)
		}
	}
	at, err := CheckCursor(table, driver.Column{Type: driver.Of(driver.Timestamp)}, "2024-02-29T10:00:00.5")
	if err != nil || !at.Equal(time.Date(2024, 2, 29, 10, 0, 0, 5e8, time.UTC)) {
		t.Errorf("%v, %v", at, err)
	}
}

func TestClassify(t *testing.T) {
	typed, refused := driver.E(driver.ErrLimit, nil, "too many rows"), errors.New("42")
	serverError := func(err error, prefix string) error {
		if errors.Is(err, refused) {
			return driver.E(driver.ErrPermission, nil, "%sno right", prefix)
		}
		return nil
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("removed"))
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		what string
		kind error
		says string
	}{
		"one of ours":   {ended, typed, "orders", driver.ErrLimit, "too many rows"},
		"after the end": {ended, refused, "orders", driver.ErrTimeout, "orders: stopped"},
		"the server's":  {t.Context(), refused, "orders", driver.ErrPermission, "orders: no right"},
		"of nothing":    {t.Context(), refused, "", driver.ErrPermission, "no right"},
		"anything else": {t.Context(), net.ErrClosed, "orders", driver.ErrUnreachable, "orders: the connection to the server was lost"},
	} {
		err := Classify(c.ctx, c.err, c.what, serverError)
		var of *driver.Error
		if !errors.As(err, &of) || !errors.Is(err, c.kind) || of.Message != c.says {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Classify(t.Context(), nil, "orders", serverError); err != nil {
		t.Errorf("no error: %v", err)
	}
}

func TestNulledNote(t *testing.T) {
	for times, want := range map[int64]string{
		1: "1 value of s.t.c that its type cannot hold landed as NULL; it is in row 7.", 2: "2 values of s.t.c that its type cannot hold landed as NULL; the first is in row 7.",
	} {
		if got := NulledNote(times, driver.Table{Namespace: "s", Name: "t"}, "c", "row 7"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
