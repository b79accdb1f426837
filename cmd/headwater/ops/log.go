// Package ops is what an operator sees of a running node: log and metrics. Both
// are written where an event is stored or a request is answered, so that they
// agree with the history. Alert rules and a dashboard for Prometheus and Grafana
// are in the same folder.
package ops

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Formats of a log.
const (
	Text = "text" // for people: key=value
	JSON = "json" // for programs: one object a line
)

// Bytes of one value in a log line; a stack may be longer.
const (
	maxValue = 2 << 10
	maxStack = 32 << 10
)

// NewLog returns a log that writes one line for each record. It escapes control,
// bidirectional and other invisible characters, and truncates long values.
func NewLog(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: bounded}
	if format == Text {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(visible{w}, options))
}

// bounded truncates a value that is too long for a line.
func bounded(_ []string, a slog.Attr) slog.Attr {
	limit := maxValue
	if a.Key == "stack" {
		limit = maxStack
	}
	var text string
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		text = v.String()
	case slog.KindAny:
		err, ok := v.Any().(error)
		if !ok {
			return a
		}
		text = err.Error()
	default:
		return a
	}
	if len(text) <= limit {
		return a
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return slog.String(a.Key, fmt.Sprintf("%s… (%d bytes)", text[:cut], len(text)))
}

// visible escapes invisible characters that encoding/json leaves unescaped. JSON
// readers decode the same text.
type visible struct{ w io.Writer }

func (v visible) Write(line []byte) (int, error) {
	out := line
	for i, c := range line {
		if c >= 0x7f {
			out = escaped(line, i)
			break
		}
	}
	if _, err := v.w.Write(out); err != nil {
		return 0, err
	}
	return len(line), nil
}

func escaped(line []byte, from int) []byte {
	out := append(make([]byte, 0, len(line)+64), line[:from]...)
	for rest := line[from:]; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == '\n' || unicode.IsPrint(r) && (r != utf8.RuneError || size > 1):
			out = append(out, rest[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		rest = rest[size:]
	}
	return out
}

// Library returns a log for messages of libraries. It lowers messages below WARN
// to DEBUG.
func Library(log *slog.Logger) *slog.Logger { return slog.New(quieter{log.Handler()}) }

type quieter struct{ slog.Handler }

func (q quieter) level(l slog.Level) slog.Level {
	if l < slog.LevelWarn {
		return min(l, slog.LevelDebug)
	}
	return l
}

func (q quieter) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, q.level(l))
}

func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = q.level(r.Level)
	return q.Handler.Handle(ctx, r)
}

func (q quieter) WithAttrs(a []slog.Attr) slog.Handler { return quieter{q.Handler.WithAttrs(a)} }
func (q quieter) WithGroup(name string) slog.Handler   { return quieter{q.Handler.WithGroup(name)} }
