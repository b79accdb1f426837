// Package load is what both sides of a work are asked by: the same requests over so many
// connections, from a process of its own, so that what the generator costs weighs on both.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Callers is how many connections the load keeps busy.
const Callers = 32

// Load is what a generator is told: so many times the same request, over so many
// connections that stay open.
type Load struct {
	Address string // host:port
	Request string // as it goes over the wire
	Status  int    // every answer has it
	Length  int    // of every answer's body
	Count   int
	Callers int
}

// Get returns the load of a GET over Callers connections. Headers are pairs of names and values.
func Get(base, path string, status, length, count int, headers ...string) Load {
	address := strings.TrimPrefix(base, "http://")
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, address)
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	b.WriteString("\r\n")
	return Load{address, b.String(), status, length, count, Callers}
}

// Apart sends the requests from a process of its own, and returns how long that took.
func (l Load) Apart(ctx context.Context) (time.Duration, error) { return apart(ctx, "generate", l) }

// generate sends the requests and returns how long that took, without the time
// to connect. An answer that is not as expected is an error.
func (l Load) generate() (time.Duration, error) {
	conns := make([]net.Conn, l.Callers)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", l.Address); err != nil {
			return 0, err
		}
		defer conns[i].Close()
	}
	var left atomic.Int64
	left.Store(int64(l.Count))
	errs := make([]error, len(conns))
	var all sync.WaitGroup
	began := time.Now()
	for i, conn := range conns {
		all.Go(func() {
			request, answers := []byte(l.Request), bufio.NewReaderSize(conn, 64<<10)
			for left.Add(-1) >= 0 {
				if _, errs[i] = conn.Write(request); errs[i] != nil {
					return
				}
				if errs[i] = l.answer(answers); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began), errors.Join(errs...)
}

var lengthHeader = []byte("Content-Length: ")

// answer reads one answer.
func (l Load) answer(in *bufio.Reader) error {
	status, length, err := readHead(in)
	if err != nil {
		return err
	}
	if status != strconv.Itoa(l.Status) || length != l.Length {
		return fmt.Errorf("the answer is %s with %d bytes, want %d with %d", status, length, l.Status, l.Length)
	}
	_, err = in.Discard(length)
	return err
}

// readHead reads what stands before an answer's body. It knows no more of HTTP
// than what both sides speak.
func readHead(in *bufio.Reader) (status string, length int, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return "", 0, err
	}
	if len(line) < 12 {
		return "", 0, fmt.Errorf("the answer begins with %q", line)
	}
	status = string(line[9:12])
	for len(bytes.TrimRight(line, "\r\n")) > 0 {
		if line, err = in.ReadSlice('\n'); err != nil {
			return "", 0, err
		}
		if text, ok := bytes.CutPrefix(line, lengthHeader); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(text))); err != nil {
				return "", 0, err
			}
		}
	}
	return status, length, nil
}
