package extract

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchEvery is how often a child's memory is looked at.
const watchEvery = 100 * time.Millisecond

// watch kills the child when it has more memory than it may. The returned
// function ends the watching.
func (p *process) watch() (end func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-p.dead:
				return
			case <-tick.C:
				if resident(p.cmd.Process.Pid) > p.memory {
					p.kill(tooLarge(p.memory))
					return
				}
			}
		}
	})
	return sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
	})
}

// resident returns the bytes of memory that a process has for itself, without
// what it maps of files, as its program; 0 if that is not known.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := bytes.Fields(b)
	if err != nil || len(fields) < 3 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	shared, serr := strconv.ParseInt(string(fields[2]), 10, 64)
	if err != nil || serr != nil {
		return 0
	}
	return (pages - shared) * int64(os.Getpagesize())
}

// ownGroup keeps a terminal's Ctrl-C from ending children before the service
// has drained.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// yield has the child give way to others on the processors, by so much more than
// this process does: all of its threads, those to come included. It cannot be taken
// back without privileges. That it failed costs others time and nothing else.
func (p *process) yield(nice int) {
	if nice <= p.nice {
		return
	}
	ours, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err == nil && unix.Setpriority(unix.PRIO_PGRP, p.cmd.Process.Pid, min(20-ours+nice, 19)) == nil { // the kernel says 20 - nice
		p.nice = nice
	}
}

// widen lets more wait in a pipe, so that both of its ends sleep less often.
func widen(r io.Reader) {
	f, ok := r.(*os.File)
	if !ok {
		return
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
}

// slack is what a Go process has mapped beyond what it uses.
const slack = 1 << 30

// Confine takes from this process what a connector does not need: memory beyond
// the limit, more than a few files, core dumps, new privileges. It is for
// children, before they do anything else.
func Confine(memory int64) error {
	limit := func(what int, n uint64) error {
		return syscall.Setrlimit(what, &syscall.Rlimit{Cur: n, Max: n})
	}
	if err := limit(unix.RLIMIT_CORE, 0); err != nil {
		return fmt.Errorf("limit core dumps: %w", err)
	}
	if err := limit(unix.RLIMIT_NOFILE, 256); err != nil {
		return fmt.Errorf("limit open files: %w", err)
	}
	// The race detector's own maps would count.
	if !racing {
		if err := limit(unix.RLIMIT_DATA, uint64(memory+slack)); err != nil {
			return fmt.Errorf("limit memory: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	return nil
}
