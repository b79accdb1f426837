//go:build !linux

package extract

import (
	"io"
	"syscall"
)

// watch does nothing where the system does not tell what a process has.
func (p *process) watch() (end func()) { return func() {} }

// resident is not known here.
func resident(int) int64 { return 0 }

func ownGroup() *syscall.SysProcAttr { return nil }

func (p *process) yield(int) {}

func widen(io.Reader) {}

// Confine does nothing on this system.
func Confine(int64) error { return nil }
