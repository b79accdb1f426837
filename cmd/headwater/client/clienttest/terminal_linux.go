package clienttest

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"unsafe"
)

// OpenTerminal returns both ends of a terminal of that size.
func OpenTerminal(t *testing.T, columns, rows uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	var number uint32
	var unlocked int32
	control(t, master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	control(t, master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	Resize(t, slave, columns, rows)
	return master, slave
}

// Resize gives a terminal another size.
func Resize(t *testing.T, slave *os.File, columns, rows uint16) {
	t.Helper()
	size := [4]uint16{rows, columns}
	control(t, slave, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
}

func control(t *testing.T, f *os.File, request uintptr, at unsafe.Pointer) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed syscall.Errno
	if err := raw.Control(func(fd uintptr) { _, _, failed = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(at)) }); err != nil || failed != 0 {
		t.Fatal(err, failed)
	}
}
