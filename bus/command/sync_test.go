package command

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for text, want := range map[Duration]time.Duration{
		"": 0, "90s": 90 * time.Second, "15m": 15 * time.Minute, "3d": 72 * time.Hour, "1d12h": 36 * time.Hour, "2w": 336 * time.Hour, "1w1d": 192 * time.Hour, "36500d": 36_500 * 24 * time.Hour,
	} {
		if got, err := text.Value(); got != want || err != nil {
			t.Errorf("%q: %v %v, wanted %v", text, got, err, want)
		}
	}
	for _, text := range []Duration{"0s", "0d", "-1h", "1h-2h", "5", "d", "3dd", "3d-1h", "36501d", "36500d1h", "999999d", "1000000d", "soon", "1d1w", "5215w", "1d1d"} {
		if got, err := text.Value(); !errors.Is(err, ErrDuration) {
			t.Errorf("%q is %v %v", text, got, err)
		}
	}
}

func TestLookbackReadsTextAndNumbers(t *testing.T) {
	for text, want := range map[string]Lookback{`"15m"`: "15m", `500`: "500", `"500"`: "500", `null`: ""} {
		var got struct{ L Lookback }
		if err := json.Unmarshal([]byte(`{"L":`+text+`}`), &got); err != nil || got.L != want {
			t.Errorf("%s: %q %v", text, got.L, err)
		}
	}
	for _, text := range []string{`1.5`, `true`, `{}`, `1e99`} {
		var got Lookback
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s is %q", text, got)
		}
	}
	if n, ok := Lookback("500").Number(); n != 500 || !ok {
		t.Errorf("500: %d %v", n, ok)
	}
	for _, text := range []Lookback{"", "0", "-1", "15m", "1.5", "99999999999999999999"} {
		if n, ok := text.Number(); ok {
			t.Errorf("%q is the number %d", text, n)
		}
	}
	if d, ok := Lookback("2h").Time(); d != 2*time.Hour || !ok {
		t.Errorf("2h: %v %v", d, ok)
	}
	if _, ok := Lookback("500").Time(); ok {
		t.Error("500 is a time")
	}
}
