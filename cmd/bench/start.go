package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"headwater/cmd/bench/processes"
	"headwater/cmd/bench/report"
	"headwater/cmd/bench/rig"
)

// What a process may take before it does its work, and a connect beside reading
// the file.
const (
	startCPU    = 30 * time.Millisecond
	startOwn    = 25 << 20
	connectOver = 150 * time.Millisecond
	startedRows = 1000
)

// setupFrame is how the service begins with a child: a byte, the length, and JSON.
func setupFrame(files string) []byte {
	payload, _ := json.Marshal(rig.Object{"egress": "auto", "loopback": true, "files_root": files}) // texts always marshal
	return append(binary.LittleEndian.AppendUint32([]byte{'S'}, uint32(len(payload))), payload...)
}

// spent is the CPU time that a process took in all.
func spent(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// running is the side that runs a program to its end, in CPU time.
func running(program string, args ...string) rig.Side {
	return func(ctx context.Context) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, program, args...)
		if err := cmd.Run(); err != nil {
			return 0, err
		}
		return spent(cmd), nil
	}
}

// empty returns a Go program that does nothing.
func (b *bench) empty(ctx context.Context) (string, error) {
	dir, err := b.Folder("empty")
	if err != nil {
		return "", err
	}
	source, program := filepath.Join(dir, "empty.go"), filepath.Join(dir, "empty")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build an empty program: %w: %s", err, out)
	}
	return program, nil
}

// starts measures what a start costs: of a client command, of the process of a
// source, and of a whole connect.
func (b *bench) starts(ctx context.Context) ([]report.Row, error) {
	empty, err := b.empty(ctx)
	if err != nil {
		return nil, err
	}
	waiting, err := b.waitingClient(ctx)
	if err != nil {
		return nil, err
	}
	client, err := b.startBeside(ctx, "start of a client command", running(b.Program, "--version"), running(empty), waiting)
	if err != nil {
		return nil, err
	}
	var held int64
	child, err := b.startBeside(ctx, "start of a connector", func(ctx context.Context) (took time.Duration, err error) {
		took, held, err = b.connector(ctx)
		return took, err
	}, running(empty), 0)
	if err != nil {
		return nil, err
	}
	child = startRow(child, held)
	connect, err := b.connectBeside(ctx)
	return append([]report.Row{client, child}, connect...), err
}

// startBeside measures a start in CPU time beside that of an empty program.
func (b *bench) startBeside(ctx context.Context, name string, ours, limit rig.Side, own int64) (report.Row, error) {
	x, y, err := b.PairIn(ctx, name, 5, ours, limit)
	if err != nil {
		return report.Row{}, err
	}
	x, y = x/5, y/5
	return startRow(report.Row{Work: name, Ours: milliseconds(x) + " of CPU", Limit: milliseconds(y), Beside: "an empty Go program",
		Ratio: "+" + milliseconds(x-y), OK: x <= startCPU}, own), nil
}

// startRow adds to a row what memory was held that is not pages of the program.
func startRow(r report.Row, own int64) report.Row {
	r.Target = fmt.Sprintf("at most %d ms, %d MiB", startCPU.Milliseconds(), startOwn>>20)
	if own > 0 {
		r.Ours += fmt.Sprintf(", %d MiB that are not pages of the program", own>>20)
		r.OK = r.OK && own <= startOwn
	}
	return r
}

// waitingClient returns the memory that a client holds which has sent its request
// and waits, without the pages of the program.
func (b *bench) waitingClient(ctx context.Context) (int64, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	cmd := exec.CommandContext(ctx, b.Program, "list", "--url", "http://"+listener.Addr().String(), "--token", "none")
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	conn, err := listener.Accept()
	own := int64(0)
	if err == nil {
		_, err = bufio.NewReader(conn).ReadString('\n')
		own = processes.Held(cmd.Process.Pid)["Pss_Anon"]
		_ = conn.Close()
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait() // it was killed
	return own, err
}

// connector starts the process of a source, as the service does, and ends it once
// it is ready. It returns the CPU time and the memory that are not pages of the
// program.
func (b *bench) connector(ctx context.Context) (took time.Duration, own int64, err error) {
	cmd := exec.CommandContext(ctx, b.Program, "connector", fmt.Sprint(512<<20))
	cmd.Env = []string{"GOGC=off"}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, 0, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	_, err = stdin.Write(setupFrame(b.Cache))
	ready := make([]byte, 5)
	if err == nil {
		_, err = io.ReadFull(stdout, ready)
	}
	own = processes.Held(cmd.Process.Pid)["Pss_Anon"]
	_ = stdin.Close()
	_, _ = io.Copy(io.Discard, stdout)
	if err = errors.Join(err, cmd.Wait()); err == nil && ready[0] != 'r' {
		err = fmt.Errorf("the connector's process answered %q", ready)
	}
	if err != nil {
		return 0, 0, err
	}
	return spent(cmd), own, nil
}

// connectBeside measures the connect of a small file from the REST call to its
// answer, with a check, a discovery and everything durable, beside reading the file.
func (b *bench) connectBeside(ctx context.Context) ([]report.Row, error) {
	files, err := b.Folder("sources")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(files, "started.csv")
	text := strings.Builder{}
	text.WriteString("id,name,price\n")
	for i := range startedRows {
		fmt.Fprintf(&text, "%d,name %d,%d.50\n", i, i, i%97)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return nil, err
	}
	s, err := b.Start(ctx, files)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	made := 0
	ours := func(ctx context.Context) (time.Duration, error) {
		made++
		began := time.Now()
		_, err := s.Connect(ctx, "csv", fmt.Sprintf("started_%d", made), rig.Object{"path": "started.csv"})
		return time.Since(began), err
	}
	limit := func(context.Context) (time.Duration, error) {
		began := time.Now()
		_, err := os.ReadFile(path)
		return time.Since(began), err
	}
	name := fmt.Sprintf("connect of one CSV file, end to end, %d rows", startedRows)
	x, y, err := b.Pair(ctx, name, ours, limit)
	if err != nil {
		return nil, err
	}
	return []report.Row{{Work: name, Ours: milliseconds(x), Limit: milliseconds(y), Beside: "reading the file", Ratio: "+" + milliseconds(x-y),
		Target: "at most +" + milliseconds(connectOver), OK: x-y <= connectOver}}, nil
}
