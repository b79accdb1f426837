package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hostile stands between a client and a real database server, until it does not:
// when what the client sends holds trigger, it answers in the server's place.
type hostile struct {
	port    int
	trigger string
	turn    atomic.Pointer[turn]
	turned  atomic.Int64 // how often it has answered in the server's place

	mu    sync.Mutex
	conns []net.Conn
}

// turn misbehaves until the client is gone: server is what the real one would
// have said.
type turn func(client net.Conn, server io.Reader) error

// startHostile listens in front of a server until the test ends.
func startHostile(t *testing.T, server, trigger string) *hostile {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{port: l.Addr().(*net.TCPAddr).Port, trigger: trigger}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			h.mu.Lock()
			h.conns = append(h.conns, client, upstream)
			h.mu.Unlock()
			serving.Go(func() { h.serve(client, upstream) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		h.mu.Lock()
		for _, c := range h.conns {
			c.Close()
		}
		h.mu.Unlock()
		serving.Wait()
	})
	return h
}

// behave lets everything pass again; misbehave takes the next turn.
func (h *hostile) behave()          { h.turn.Store(nil) }
func (h *hostile) misbehave(t turn) { h.turn.Store(&t) }

func (h *hostile) serve(client, upstream net.Conn) {
	defer client.Close()
	defer upstream.Close()
	answers, feed := io.Pipe()
	var mine atomic.Bool
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := upstream.Read(buf)
			if err != nil {
				feed.CloseWithError(err)
				if !mine.Load() {
					client.Close()
				}
				return
			}
			if mine.Load() {
				if _, err := feed.Write(buf[:n]); err != nil {
					return
				}
			} else if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if t := h.turn.Load(); t != nil && bytes.Contains(buf[:n], []byte(h.trigger)) {
			h.turned.Add(1)
			mine.Store(true)
			gone := make(chan struct{})
			go func() { // whoever only listens must notice the end, too
				defer close(gone)
				_, _ = io.Copy(io.Discard, client)
				answers.Close()
				client.Close()
			}()
			_, _ = upstream.Write(buf[:n])
			_ = (*t)(client, answers)
			client.Close()
			<-gone
			return
		}
		if _, err := upstream.Write(buf[:n]); err != nil {
			return
		}
	}
}

// silent says nothing more.
func silent(_ net.Conn, server io.Reader) error {
	_, err := io.Copy(io.Discard, server) // until the client is gone
	return err
}

// garbage is bytes without any sense.
func garbage(client net.Conn, _ io.Reader) error {
	dice := rand.New(rand.NewPCG(1, 2))
	for {
		b := make([]byte, 4096)
		for i := range b {
			b[i] = byte(dice.Uint32())
		}
		if _, err := client.Write(b); err != nil {
			return err
		}
	}
}

// sends sends the first bytes, then the others again and again.
func sends(first, again []byte, pause time.Duration) turn {
	return func(client net.Conn, _ io.Reader) error {
		if _, err := client.Write(first); err != nil {
			return err
		}
		for {
			if _, err := client.Write(again); err != nil {
				return err
			}
			time.Sleep(pause)
		}
	}
}

// pgMessage frames a message of PostgreSQL.
func pgMessage(kind byte, body []byte) []byte {
	m := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(m, body...)
}

// copyBegins is the answer to a COPY up to its first row, of two columns.
func copyBegins() []byte {
	out := pgMessage('H', []byte{1, 0, 2, 0, 1, 0, 1})
	return append(out, pgMessage('d', append([]byte("PGCOPY\n\xff\r\n\x00"), make([]byte, 8)...))...)
}

// copyRow is a row (7, text) of a COPY.
func copyRow(text string) []byte {
	row := []byte{0, 2, 0, 0, 0, 4, 0, 0, 0, 7}
	row = binary.BigEndian.AppendUint32(row, uint32(len(text)))
	return pgMessage('d', append(row, text...))
}

// repeatCatalog lets the server answer, and then repeats a row of so many fields
// for ever, counting up one of them.
func repeatCatalog(width, field int) turn {
	return func(client net.Conn, server io.Reader) error {
		for {
			head := make([]byte, 5)
			if _, err := io.ReadFull(server, head); err != nil {
				return err
			}
			body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
			if _, err := io.ReadFull(server, body); err != nil {
				return err
			}
			if head[0] != 'D' || int(body[1]) != width {
				if _, err := client.Write(append(head, body...)); err != nil {
					return err
				}
				continue
			}
			fields := [][]byte{}
			for at := 2; at < len(body); {
				n := int32(binary.BigEndian.Uint32(body[at:]))
				at += 4
				if n < 0 {
					fields = append(fields, nil)
					continue
				}
				fields = append(fields, body[at:at+int(n)])
				at += int(n)
			}
			var batch []byte
			for n := 0; ; n++ {
				fields[field] = fmt.Appendf(nil, "x%09d", n)
				row := []byte{0, byte(width)}
				for _, f := range fields {
					if f == nil {
						row = binary.BigEndian.AppendUint32(row, 0xffffffff)
						continue
					}
					row = append(binary.BigEndian.AppendUint32(row, uint32(len(f))), f...)
				}
				if batch = append(batch, pgMessage('D', row)...); len(batch) > 256<<10 {
					if _, err := client.Write(batch); err != nil {
						return err
					}
					batch = batch[:0]
				}
			}
		}
	}
}

// mysqlPacket frames a packet of MySQL.
func mysqlPacket(sequence byte, body []byte) []byte {
	n := len(body)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), sequence}, body...)
}

// repeatRow lets a MySQL server answer up to its first row, which it repeats for
// ever.
func repeatRow(pause time.Duration) turn {
	return func(client net.Conn, server io.Reader) error {
		next := func() ([]byte, error) {
			packet := make([]byte, 4)
			if _, err := io.ReadFull(server, packet); err != nil {
				return nil, err
			}
			packet = append(packet, make([]byte, int(packet[0])|int(packet[1])<<8|int(packet[2])<<16)...)
			_, err := io.ReadFull(server, packet[4:])
			return packet, err
		}
		packet, err := next()
		if err != nil {
			return err
		}
		for left := int(packet[4]) + 1; err == nil && left > 0; left-- { // the count of the columns, and the columns
			if _, err = client.Write(packet); err == nil {
				packet, err = next()
			}
		}
		if err == nil && packet[4] == 0xfe && len(packet) < 4+9 { // which some servers say that they are all of
			if _, err = client.Write(packet); err == nil {
				packet, err = next()
			}
		}
		for ; err == nil; packet[3]++ {
			_, err = client.Write(packet)
			time.Sleep(pause)
		}
		return err
	}
}

// children returns the ids of a process's children that have not ended.
func children(pid int) (ids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		// The name may hold anything, so the fields are those behind its end.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if parent, _ := strconv.Atoi(fields[1]); parent != pid || fields[0] == "Z" {
			continue
		}
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		ids = append(ids, id)
	}
	return ids
}

// status returns a number of a process's status, such as VmRSS in bytes.
func processStatus(pid int, name string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

func openFiles(pid int) int {
	found, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(found)
}
