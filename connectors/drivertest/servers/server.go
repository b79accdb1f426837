// Package servers starts private database servers for tests and
// demonstrations: on a free loopback port, with a random password, in a folder
// of their own, never as root.
package servers

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Server is a running private server. Its account may do everything in its
// database.
type Server struct {
	Host     string
	Port     int
	User     string
	Password string
	Database string
	Dir      string // holds the data; owned by the account that the server runs as

	cmd    *exec.Cmd
	signal os.Signal // asks for a quick stop
	exited chan struct{}
	output *tail
	stop   sync.Once
	again  func(context.Context) error // starts it anew on its data, nil where it cannot be
}

// MissingError says which program of a server is not installed.
type MissingError struct {
	Program string
	Package string // of Debian and its kin
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed: apt-get install %s", e.Program, e.Package)
}

const (
	startAttempts = 3 // another process may take the free port in between
	startLimit    = 60 * time.Second
	stopLimit     = 60 * time.Second
)

// Address returns "host:port".
func (s *Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Stop ends the server by its own process id and waits for it. It is safe to
// call twice. The folder stays.
func (s *Server) Stop() error {
	var err error
	s.stop.Do(func() {
		_ = s.cmd.Process.Signal(s.signal)
		select {
		case <-s.exited:
		case <-time.After(stopLimit):
			err = s.cmd.Process.Kill()
			<-s.exited
		}
	})
	return err
}

// Kill ends the server as a power cut does, and waits for it.
func (s *Server) Kill() error {
	err := s.cmd.Process.Kill()
	<-s.exited
	return err
}

// Restart starts a server anew that was killed: on its data and its port. It waits for
// its end.
func (s *Server) Restart(ctx context.Context) error {
	if s.again == nil {
		return errors.New("this server cannot be started anew")
	}
	select {
	case <-s.exited:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.again(ctx)
}

// launch starts the program and waits until ready returns nil.
func launch(ctx context.Context, s *Server, dir, program string, args []string, ready func(context.Context) error) error {
	cmd := command(context.WithoutCancel(ctx), dir, program, args...)
	s.output = &tail{}
	cmd.Stdout, cmd.Stderr = s.output, s.output
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended at once: %s", filepath.Base(program), s.output)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s is not ready: %w: %s", filepath.Base(program), err, s.output), s.Stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// command prepares a program that runs in dir, with a bare environment, as
// nobody when this process is root: servers refuse to run as root.
func command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + dir, "TMPDIR=" + dir, "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches the owner, who stops it in order
	if uid, gid, drop := unprivileged(); drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return cmd
}

// unprivileged returns the ids to run as when this process is root.
func unprivileged() (uid, gid uint32, drop bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	uid, gid = 65534, 65534
	if nobody, err := user.Lookup("nobody"); err == nil {
		u, _ := strconv.ParseUint(nobody.Uid, 10, 32)
		g, _ := strconv.ParseUint(nobody.Gid, 10, 32)
		uid, gid = uint32(u), uint32(g)
	}
	return uid, gid, true
}

// own makes dir and gives it to the account that the server runs as.
func own(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if uid, gid, drop := unprivileged(); drop {
		return os.Chown(dir, int(uid), int(gid))
	}
	return nil
}

// find looks for a program in PATH and in the folders given.
func find(pkg, program string, patterns ...string) (string, error) {
	for _, pattern := range patterns {
		found, _ := filepath.Glob(filepath.Join(pattern, program))
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	return "", &MissingError{Program: program, Package: pkg}
}

// tail keeps the end of a server's output.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - 16<<10; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

func password() string { return rand.Text() }
