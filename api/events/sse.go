package events

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"headwater/api/call"
)

// streamRate is the slowest rate at which a client may read a large event, in
// bytes per second.
const streamRate = 64 << 10

// stream writes server-sent events (WHATWG HTML, section 9.2). It buffers
// nothing for a slow client: a write that exceeds its deadline fails and ends
// the stream.
type stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	buffer   bytes.Buffer
}

func newStream(w http.ResponseWriter, patience time.Duration) *stream {
	return &stream{w: w, control: http.NewResponseController(w), patience: patience}
}

// begin sends the header, so that the client knows it is connected.
func (s *stream) begin(sequence uint64) {
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // tells proxies not to buffer
	header.Set(call.HeaderSequence, strconv.FormatUint(sequence, 10))
	_ = s.control.SetReadDeadline(time.Time{}) // nothing is read any more but the client's disconnect
	s.w.WriteHeader(http.StatusOK)
	s.buffer.WriteString("retry: 1000\n\n")
	if s.write() {
		s.flush()
	}
}

func (s *stream) event(item *logged) bool {
	s.buffer.WriteString("id: " + strconv.FormatUint(item.sequence, 10) + "\nevent: " + item.name + "\ndata: ")
	s.buffer.Write(item.json)
	s.buffer.WriteString("\n\n")
	return s.write()
}

// comment sends a comment, which clients ignore, to keep the connection open. It
// returns false if the client did not read it.
func (s *stream) comment(text string) bool {
	s.buffer.WriteString(": " + text + "\n\n")
	return s.write() && s.flush()
}

// bye ends the stream with the reason as a comment.
func (s *stream) bye(why string) {
	if why != "" {
		s.comment(why)
	}
}

// write sends the buffer and reports whether the client read it.
func (s *stream) write() bool {
	allowed := s.patience + time.Duration(s.buffer.Len())*time.Second/streamRate
	_ = s.control.SetWriteDeadline(time.Now().Add(allowed)) // a ResponseWriter outside a server may have no deadlines
	_, err := s.w.Write(s.buffer.Bytes())
	s.buffer.Reset()
	return err == nil
}

func (s *stream) flush() bool { return s.control.Flush() == nil }
