package load

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Constant is what a bare server answers to everything.
type Constant struct {
	Status int
	Header http.Header
	Body   []byte
}

// Bare starts a net/http server that answers the same bytes to every request, in a
// process of its own. It returns its base URL and what stops it.
func Bare(ctx context.Context, c Constant) (base string, stop func(), err error) {
	told, err := json.Marshal(c)
	if err != nil {
		return "", nil, err
	}
	cmd, err := Self(ctx, "bare", told)
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("the bare server did not start: %w", err)
	}
	return "http://" + strings.TrimSpace(line), stop, nil
}

// serveBare serves until the process is killed.
func serveBare(in io.Reader, out io.Writer) error {
	var c Constant
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
