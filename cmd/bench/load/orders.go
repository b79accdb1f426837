package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Orders is what a generator of commands is told. Each caller has a source of
// its own, which it removes and restores again and again: commands that ask
// nothing of anybody outside.
type Orders struct {
	Address string
	Token   string
	Path    string   // below which calls lie, with a slash at its end
	Sources []string // one a caller
	Each    int      // commands of one caller, an even number
}

// Apart sends the commands from a process of its own, and returns how long that took. A
// command has ended when its answer is there, which comes once the result can be read.
func (o Orders) Apart(ctx context.Context) (time.Duration, error) { return apart(ctx, "order", o) }

// generate sends the commands, one after another for each caller, and returns
// how long that took.
func (o Orders) generate() (time.Duration, error) {
	conns := make([]net.Conn, len(o.Sources))
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", o.Address); err != nil {
			return 0, err
		}
		defer conns[i].Close()
	}
	errs := make([]error, len(conns))
	var all sync.WaitGroup
	began := time.Now()
	for i, conn := range conns {
		all.Go(func() {
			requests := [2][]byte{o.request("cleanup", o.Sources[i]), o.request("restore", o.Sources[i])}
			answers := bufio.NewReaderSize(conn, 16<<10)
			for n := range o.Each {
				if _, errs[i] = conn.Write(requests[n%2]); errs[i] != nil {
					return
				}
				if errs[i] = done(answers); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began), errors.Join(errs...)
}

func (o Orders) request(call, source string) []byte {
	body, _ := json.Marshal(map[string][]string{"source_ids": {source}}) // texts always marshal
	return fmt.Appendf(nil, "POST %s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		o.Path, call, o.Address, o.Token, len(body), body)
}

// done reads an answer, which must say that the command was carried out.
func done(in *bufio.Reader) error {
	status, length, err := readHead(in)
	if err != nil {
		return err
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(in, body); err != nil {
		return err
	}
	if status != "200" || !bytes.HasPrefix(body, []byte(`{"status":"success"`)) {
		return fmt.Errorf("the answer is %s: %s", status, body)
	}
	return nil
}
