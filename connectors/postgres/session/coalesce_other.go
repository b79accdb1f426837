//go:build !linux

package session

// wakeAt does nothing here: each change wakes a thread.
func (c *coalescingConn) wakeAt(int) {}
