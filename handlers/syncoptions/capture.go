package syncoptions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"headwater/bus/command"
)

// Bounds of the options of mode cdc.
const (
	MinDelay     = time.Second
	MaxDelay     = time.Hour
	DefaultDelay = 10 * time.Second
	minLag       = 1 << 20 // bytes
)

// Delay returns how long a change may wait for its commit in mode cdc.
func Delay(o command.SyncOptions) time.Duration {
	if d, err := o.MaxDelay.Value(); err == nil && d > 0 {
		return d
	}
	return DefaultDelay
}

// NoLog is the problem of a source whose connector reads no log of changes; with
// names those that do.
func NoLog(connector string, with []string) Problem {
	c := &check{}
	c.add("mode", "cannot be cdc here: %s. Without a mode each sync reads it whole; mode %s with merge reads what a cursor column says is new or changed",
		Unlogged(connector, with), command.Incremental)
	c.problems[0].Reason = "unsupported"
	return c.problems[0]
}

// Unlogged says that sources of a connector have no log of changes, and which have one.
func Unlogged(connector string, with []string) string {
	have := "have"
	if len(with) == 1 {
		have = "has"
	}
	return fmt.Sprintf("a source of %s has no log of changes that can be read; %s %s one", connector, strings.Join(with, " and "), have)
}

func (c *check) captures() bool { return c.o.Mode == command.Capture }

// capture checks what goes with mode cdc and what does not.
func (c *check) capture() {
	if !c.captures() {
		for field, given := range map[string]bool{
			"max_delay": c.o.MaxDelay != "", "changes": c.o.Changes != "", "soft_delete": c.o.SoftDelete, "lag_warn_bytes": c.o.LagWarn != 0, "lag_limit_bytes": c.o.LagLimit != 0,
		} {
			if given {
				c.add(field, "goes with mode %s", command.Capture)
			}
		}
		return
	}
	for field, given := range map[string]bool{
		"lookback": c.o.Lookback != "", "merge": c.o.Merge, "start_from": len(c.o.StartFrom) > 0, "cursor_columns": len(c.o.CursorField) > 0, "deleted_columns": len(c.o.Deleted) > 0,
	} {
		if given {
			c.add(field, "does not go with mode %s, which follows the source's log and no column", command.Capture)
		}
	}
	if d, err := c.o.MaxDelay.Value(); err != nil {
		c.add("max_delay", "%v", err)
	} else if d != 0 && (d < MinDelay || d > MaxDelay) {
		c.add("max_delay", "is %s; it can be 1s to 1h", c.o.MaxDelay)
	}
	if v := c.o.Changes; v != "" && v != command.MergeChanges && v != command.AppendChanges {
		c.add("changes", "is %q; it can be %s or %s", v, command.MergeChanges, command.AppendChanges)
	}
	if c.o.SoftDelete && c.o.Changes == command.AppendChanges {
		c.add("soft_delete", "goes with changes %s: a table that is the log of changes keeps every row", command.MergeChanges)
	}
	for field, n := range map[string]int64{"lag_warn_bytes": c.o.LagWarn, "lag_limit_bytes": c.o.LagLimit} {
		if n != 0 && n < minLag {
			c.add(field, "is %d bytes; it can be 1048576 (1 MiB) and more", n)
		}
	}
	if c.o.LagWarn > 0 && c.o.LagLimit > 0 && c.o.LagWarn >= c.o.LagLimit {
		c.add("lag_warn_bytes", "must be less than lag_limit_bytes, at which the log is given up")
	}
}

// captured checks the tables whose changes are to be followed: rows that are
// changed must be found. A table that nobody has named is read whole each time.
func (c *check) captured() {
	if !c.captures() {
		return
	}
	for _, t := range c.chosen() {
		key := c.key(t)
		if own := t.PrimaryKey; len(own) > 0 && len(key) > 0 && !slices.Equal(own, key) {
			c.add("key_columns."+nameIn(t), "the source tells changes by the primary key (%s), which another key cannot find", strings.Join(own, ", "))
		}
		named := slices.Contains(c.o.Tables, nameIn(t)) || slices.Contains(c.o.Tables, t.Name)
		if named && len(t.Columns) > 0 && len(key) == 0 && c.o.Changes != command.AppendChanges {
			c.add("tables", "table %s has no primary key, by which changes find their rows; %s if the source's log tells rows by them, keep its changes with sync_options.changes append, or leave it out", nameIn(t), NameKey)
		}
	}
}
