package protocol

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// recorded is a connection that sends what was recorded and hears nothing.
type recorded struct {
	net.Conn
	io.Reader
}

func (r recorded) Read(p []byte) (int, error) { return r.Reader.Read(p) }
func (recorded) Write(p []byte) (int, error)  { return len(p), nil }
func (recorded) Close() error                 { return nil }
func replay(sent []byte, limit int64) *wire {
	return newWire(recorded{Reader: bytes.NewReader(sent)}, limit)
}
func frame(seq byte, payload []byte) []byte {
	n := len(payload)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, payload...)
}

// packets writes each payload as the server does, in frames of at most 16 MiB.
func packets(seq byte, payloads ...[]byte) []byte {
	var sent []byte
	for _, p := range payloads {
		for {
			n := min(len(p), maxFrame)
			sent = append(sent, frame(seq, p[:n])...)
			seq++
			if p = p[n:]; n < maxFrame {
				break
			}
		}
	}
	return sent
}

func TestPackets(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	for _, payloads := range [][][]byte{
		{{}, []byte("a"), {}, bytes.Repeat([]byte("b"), 3*readSize)},
		{long[:maxFrame-1], long[:maxFrame], []byte("after"), append(long[:maxFrame:maxFrame], long...), []byte("end")},
	} {
		w := replay(packets(0, payloads...), 1<<30)
		for i, want := range payloads {
			if got, err := w.packet(); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("packet %d has %d bytes (%v), want %d", i, len(got), err, len(want))
			}
		}
		if _, err := w.packet(); err != io.ErrUnexpectedEOF {
			t.Errorf("after the last: %v", err)
		}
	}
}

// A packet over the limit is refused by its header: nothing of it is needed.
func TestLongPacketsAreNotRead(t *testing.T) {
	for name, sent := range map[string][]byte{
		"one frame":   {0x01, 0x00, 0x10, 0},                                               // 1 MiB + 1
		"two frames":  append(packets(0, make([]byte, maxFrame))[:4+maxFrame], 1, 0, 0, 1), // 16 MiB
		"no sequence": frame(9, []byte("x")),
	} {
		limit, want := int64(1<<20), ErrTooLong
		switch name {
		case "two frames":
			limit = maxFrame
		case "no sequence":
			want = ErrPacket
		}
		w := replay(sent, limit)
		if _, err := w.packet(); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if name == "one frame" && len(w.buf) > readSize {
			t.Errorf("%d bytes were set aside", len(w.buf))
		}
	}
}

// An error may come in the middle of a result, and under a number out of turn.
func TestErrorWithinResult(t *testing.T) {
	failure := append([]byte{headerErr, 0x25, 0x05}, "#70100killed"...)
	sent := packets(1, []byte{1}, definition("a"), []byte("\x01x"))
	sent = append(sent, frame(77, failure)...)
	c := &Conn{wire: replay(sent, 1<<20), endsByOK: true}
	if names, err := c.Start("SELECT"); err != nil || len(names) != 1 || names[0] != "a" {
		t.Fatal(names, err)
	}
	if p, err := c.Row(); err != nil || string(p) != "\x01x" {
		t.Fatal(p, err)
	}
	var server *mysql.MySQLError
	if _, err := c.Row(); !errors.As(err, &server) || server.Number != 1317 || server.Message != "killed" {
		t.Errorf("row = %v, want error 1317", err)
	}
}

// definition is a column's, as far as it is read.
func definition(name string) []byte {
	return append([]byte{3, 'd', 'e', 'f', 0, 0, 0, byte(len(name))}, name...)
}

// FuzzResult replays bytes as the answer to a statement: it ends with an error or
// after the last row, and never with rows that were not sent whole.
func FuzzResult(f *testing.F) {
	ok := []byte{headerEnd, 0, 0, 2, 0, 0, 0}
	eof := []byte{headerEnd, 0, 0, 2, 0}
	f.Add(packets(1, []byte{1}, definition("a"), []byte("\x01x"), ok), true)
	f.Add(packets(1, []byte{1, 1}, definition("a"), []byte("\xfb"), ok), true)
	f.Add(packets(1, []byte{1}, definition("a"), eof, []byte("\x01x"), eof), false)
	f.Add(packets(1, []byte{0, 0, 0, 2, 0}), true)
	f.Add(packets(1, []byte{0xfb, '/', 'e', 't', 'c'}), true)
	f.Add(packets(1, append([]byte{headerErr, 0x25, 0x05}, "#70100killed"...)), true)
	f.Fuzz(func(t *testing.T, sent []byte, endsByOK bool) {
		c := &Conn{wire: replay(sent, 1<<10), endsByOK: endsByOK}
		names, err := c.Start("SELECT")
		if err != nil || len(names) == 0 {
			return
		}
		size := 0
		for {
			p, err := c.Row()
			if err != nil || p == nil {
				break
			}
			if size += headerLen + len(p); size > len(sent) {
				t.Fatalf("%d bytes of rows in %d", size, len(sent))
			}
			if _, ok := FieldAt(p, len(names)-1); !ok {
				break
			}
		}
	})
}

// An event over the limit is left out, however many frames it has, and the next one comes.
func TestLongEventsAreSkipped(t *testing.T) {
	long := append([]byte{headerOK}, bytes.Repeat([]byte("0123456789abcdef"), 1<<20)...)
	for _, limit := range []int64{100, 1 << 20, maxFrame} {
		c := &Conn{wire: replay(packets(0, append([]byte{headerOK}, "one"...), long, append([]byte{headerOK}, "two"...)), limit)}
		if p, err := c.Event(); err != nil || string(p) != "one" {
			t.Fatalf("%d: %q, %v", limit, p, err)
		}
		var skipped *LongEvent
		if _, err := c.Event(); !errors.As(err, &skipped) || !errors.Is(err, ErrTooLong) || skipped.Size != 1<<24 || !bytes.HasPrefix(skipped.Begin, long[1:100]) || len(skipped.Begin) > skippedBegin {
			t.Fatalf("%d: %+v, %v", limit, skipped, err)
		}
		if p, err := c.Event(); err != nil || string(p) != "two" {
			t.Errorf("%d: behind it %q, %v", limit, p, err)
		}
	}
	c := &Conn{wire: replay(packets(0, long)[:1<<20], 100)}
	if _, err := c.Event(); err != io.ErrUnexpectedEOF {
		t.Errorf("an end within one: %v", err)
	}
}
