package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// callers is how many connections the load keeps busy.
const callers = 32

// load is what the generator is told: so many times the same request, over so
// many connections that stay open.
type load struct {
	Address string // host:port
	Request string // as it goes over the wire
	Status  int    // every answer has it
	Length  int    // of every answer's body
	Count   int
	Callers int
}

// get returns the load of a GET. Headers are pairs of names and values.
func get(base, path string, status, length, count int, headers ...string) load {
	address := strings.TrimPrefix(base, "http://")
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, address)
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	b.WriteString("\r\n")
	return load{address, b.String(), status, length, count, callers}
}

// generating is the side that makes the load in a process of its own: the same
// generator for both sides, so that what it costs itself weighs on both.
func generating(l load) side {
	return func(ctx context.Context) (time.Duration, error) { return apart(ctx, "generate", l) }
}

// apart has a part of this program, in a process of its own, do what it is told
// and returns how long that took.
func apart(ctx context.Context, part string, told any) (time.Duration, error) {
	input, err := json.Marshal(told)
	if err != nil {
		return 0, err
	}
	cmd, err := self(ctx, part, input)
	if err != nil {
		return 0, err
	}
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("the load: %w: %s", err, stderrOf(err))
	}
	return time.ParseDuration(strings.TrimSpace(string(out)))
}

// self returns this program in another part; input is its standard input.
func self(ctx context.Context, part string, input []byte) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), partVariable+"="+part)
	cmd.Stdin = bytes.NewReader(input)
	return cmd, nil
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

// partVariable tells a process of this program which part it plays.
const partVariable = "HEADWATER_BENCH_PART"

// play plays a part and reports whether there was one.
func play(part string, in io.Reader, out io.Writer) (bool, error) {
	switch part {
	case "":
		return false, nil
	case "generate":
		return true, generate[load](in, out)
	case "order":
		return true, generate[orders](in, out)
	case "drain":
		return true, drainStream(in, out)
	case "bare":
		return true, serveBare(in, out)
	}
	return true, fmt.Errorf("there is no part %q", part)
}

// generate makes the load that it is told and prints how long that took.
func generate[L interface {
	generate() (time.Duration, error)
}](in io.Reader, out io.Writer) error {
	var l L
	if err := json.NewDecoder(in).Decode(&l); err != nil {
		return err
	}
	took, err := l.generate()
	fmt.Fprintln(out, took)
	return err
}

// generate sends the requests and returns how long that took, without the time
// to connect. An answer that is not as expected is an error.
func (l load) generate() (time.Duration, error) {
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
func (l load) answer(in *bufio.Reader) error {
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

// constant is what the bare server answers to everything.
type constant struct {
	Status int
	Header http.Header
	Body   []byte
}

// bare starts a net/http server that answers the same bytes to every request,
// in a process of its own, and returns its base URL. The bench stops it.
func (b *bench) bare(ctx context.Context, c constant) (string, error) {
	told, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	cmd, err := self(ctx, "bare", told)
	if err != nil {
		return "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	b.onClose(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the bare server did not start: %w", err)
	}
	return "http://" + strings.TrimSpace(line), nil
}

// serveBare serves until the process is killed.
func serveBare(in io.Reader, out io.Writer) error {
	var c constant
	if err := json.NewDecoder(in).Decode(&c); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, l.Addr())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for key, values := range c.Header {
			w.Header()[key] = values
		}
		w.WriteHeader(c.Status)
		_, _ = w.Write(c.Body)
	}))
}
