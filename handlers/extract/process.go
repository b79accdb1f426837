package extract

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"headwater/connectors/driver"
)

// How long a child has to answer a cancelled call, and to end by itself, before
// it is killed.
const (
	cancelGrace = 2 * time.Second
	closeGrace  = 2 * time.Second
)

// raceVariable is how a build with the race detector is told what to do about a race,
// in its children as well.
const raceVariable = "GORACE"

// process is one child.
type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	in      *pipe
	memory  int64
	nice    int // how much it gives way to others
	log     *slog.Logger
	replies chan reply    // messages and results, in their order
	dead    chan struct{} // closed when the child has ended
	err     error         // why, once dead
	why     error         // the reason it was killed for, under mu

	mu    sync.Mutex
	ended bool     // by us, who asked it to end or killed it
	files *uploads // of the running Extract, nil for none
}

// reply is a message, or the result that ends a call.
type reply struct {
	message *Message
	changes *ChangesMessage
	result  *result
}

// start runs a child and hands it its setup. It returns before the child is
// ready.
func start(c PoolConfig) (*process, error) {
	cmd := exec.Command(c.Command[0], c.Command[1:]...)
	// Nothing of the service's own environment is the connectors' business. What
	// packages make at their start is not worth a collection: a child that works sets
	// a pace of its own.
	cmd.Env, cmd.Dir = []string{"GOGC=off"}, "/"
	if told := os.Getenv(raceVariable); told != "" {
		cmd.Env = append(cmd.Env, raceVariable+"="+told)
	}
	cmd.SysProcAttr = ownGroup()
	last := &tail{}
	cmd.Stderr = last
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a connector process: %w", err)
	}
	widen(stdout)
	p := &process{cmd: cmd, stdin: stdin, in: newPipe(stdin), memory: c.Memory, log: c.Log, replies: make(chan reply, 8), dead: make(chan struct{})}
	go func() {
		broken := p.read(bufio.NewReaderSize(stdout, chunk))
		if broken != nil {
			_ = cmd.Process.Kill() // what it is found guilty of is its own
		}
		exit := cmd.Wait()
		p.mu.Lock()
		p.err = p.obituary(exit, last)
		files := p.files
		p.mu.Unlock()
		if files != nil {
			files.abandon()
		}
		close(p.dead)
	}()
	if err := p.in.sendJSON(frameSetup, c.Setup); err != nil {
		p.kill(nil)
		<-p.dead
		return nil, p.err
	}
	return p, nil
}

// read takes what the child sends until it ends. The error is one of the
// protocol, nil at the end of the pipe.
func (p *process) read(r *bufio.Reader) error {
	for {
		kind, payload, err := receive(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var next reply
		switch kind {
		case frameReady, frameResult:
			if kind == frameReady {
				var f *failure
				err = json.Unmarshal(payload, &f)
				next.result = &result{Failure: f}
			} else {
				err = json.Unmarshal(payload, &next.result)
			}
		case frameMessage:
			err = json.Unmarshal(payload, &next.message)
		case frameChange:
			err = json.Unmarshal(payload, &next.changes)
		case frameLog:
			p.relay(payload)
			continue
		case frameCreate, frameBytes, frameEnd:
			p.mu.Lock()
			files := p.files
			p.mu.Unlock()
			if files != nil { // else of a call that was given up
				err = files.take(kind, payload)
			}
			if err == nil {
				continue
			}
		default:
			err = fmt.Errorf("an unknown frame %q", kind)
		}
		if err != nil {
			return err
		}
		p.replies <- next
	}
}

// relay logs a line of the child's log.
func (p *process) relay(line []byte) {
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return
	}
	var level slog.Level
	text, _ := fields[slog.LevelKey].(string)
	if level.UnmarshalText([]byte(text)) != nil {
		level = slog.LevelDebug
	}
	message, _ := fields[slog.MessageKey].(string)
	var attrs []slog.Attr
	for name, value := range fields {
		if name != slog.TimeKey && name != slog.LevelKey && name != slog.MessageKey {
			attrs = append(attrs, slog.Any(name, value))
		}
	}
	p.log.LogAttrs(context.Background(), level, message, attrs...)
}

// kill ends the child at once; why, if not nil, is what its callers are told.
func (p *process) kill(why error) {
	p.mu.Lock()
	if p.why == nil {
		p.why = why
	}
	p.ended = true
	p.mu.Unlock()
	_ = p.cmd.Process.Kill() // it has ended, or does
}

// close lets the child end by itself, or kills it. It returns when it is gone.
func (p *process) close() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.stdin.Close()
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	for {
		select {
		case <-p.replies: // nobody waits for them any more
		case <-timer.C:
			p.kill(nil)
		case <-p.dead:
			return
		}
	}
}

// obituary says why the child has ended.
func (p *process) obituary(exit error, last *tail) error {
	if p.why != nil {
		return p.why
	}
	text := last.String()
	if strings.Contains(text, "out of memory") || strings.Contains(text, "cannot allocate memory") {
		return tooLarge(p.memory)
	}
	stack := stackOf(text)
	if exit == nil || p.ended && len(stack) == 0 {
		return errClosed
	}
	p.log.Error("a connector process ended by itself", "exit", exit, "stack", stack)
	if exit.Error() == "signal: killed" {
		return killedError{driver.E(driver.ErrLimit, nil, "the connector's process was killed from outside, as by a system that is short of memory")}
	}
	return driver.E(driver.ErrBadData, nil, "the connector failed while it worked on what the source sent (%s)", exit)
}

func tooLarge(memory int64) error {
	return driver.E(driver.ErrLimit, nil, "what the source sent needs more than the %d MiB that a connector may have", memory>>20)
}

// ErrKilled is what a killed child's error is, beside its kind: errors.Is finds it.
// The source is not to blame, so another child may do what this one did not.
var ErrKilled = errors.New("a connector process was killed from outside")

type killedError struct{ why *driver.Error }

func (e killedError) Error() string        { return e.why.Error() }
func (e killedError) Unwrap() error        { return e.why }
func (e killedError) Is(target error) bool { return target == ErrKilled }

// errClosed is the end of a child that was asked to end.
var errClosed = errors.New("the source is closed")

// tail keeps the first bytes of what a dying child says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 32 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p[:min(len(p), tailSize-len(t.text))]...)
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// stackOf returns the functions of a Go stack trace. What else a dying process
// says may hold a row or a secret.
func stackOf(text string) []string {
	var functions []string
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines) && len(functions) < 30; i++ {
		if name, _, call := strings.Cut(lines[i], "("); call && strings.HasPrefix(lines[i+1], "\t") {
			functions = append(functions, name)
		}
	}
	return functions
}
