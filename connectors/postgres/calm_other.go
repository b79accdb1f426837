//go:build !linux

package postgres

// wakeAt does nothing here: each change wakes a thread.
func (c *calmConn) wakeAt(int) {}
