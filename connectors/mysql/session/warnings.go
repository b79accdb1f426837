package session

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/protocol"
)

// lossyWarnings say that values or rows are missing in the result: text cut by
// group_concat_max_len, NULL in place of what is longer than max_allowed_packet,
// characters that cannot be converted, a query that stopped at its own limit of rows or
// recursion.
var lossyWarnings = []uint16{1260, 1301, 1931, 1977, 3854, 4169}

// harmlessWarnings are about how a statement is written.
var harmlessWarnings = []uint16{1287, 1681, 3719, 3778}

// warned is the server's warnings of one number about one result.
type warned struct {
	number uint16
	text   string // of the first
	times  int
}

// CheckWarnings asks for the warnings about the last result and returns an error for
// those that make its rows doubtful. computed says that the rows contain expressions of
// the source, in a view or a computed column: these may warn of values that everybody
// reads as we do, so only warnings that lose something count then.
func (c *Session) CheckWarnings(ctx context.Context, what string, computed bool) error {
	var all []warned
	unseen := int(c.Warnings)
	err := c.Query(ctx, "SHOW WARNINGS", func(row []*string) error {
		if len(row) < 3 {
			return protocol.ErrPacket
		}
		unseen--
		number := uint16(min(max(Integer(row[1]), 0), 1<<16-1))
		at := slices.IndexFunc(all, func(w warned) bool { return w.number == number })
		if at < 0 {
			all = append(all, warned{number: number, text: Text(row[2])})
			at = len(all) - 1
		}
		all[at].times++
		return nil
	})
	if err != nil {
		return err
	}
	for _, w := range all {
		if slices.Contains(harmlessWarnings, w.number) || computed && !slices.Contains(lossyWarnings, w.number) {
			continue
		}
		return driver.E(driver.ErrBadData, nil, "%s: the server sent the rows with a warning, so some of them may not be what is stored: %s%s", what, messageOf(w.number, w.text), w.advice())
	}
	if unseen > 0 {
		return driver.E(driver.ErrBadData, nil, "%s: the server sent the rows with warnings and does not show %d of them, so some rows may not be what is stored: raise max_error_count on the server, or GRANT SESSION_VARIABLES_ADMIN ON *.* to the account", what, unseen)
	}
	return nil
}

// advice names the setting that helps, "" if there is none.
func (w warned) advice() string {
	switch w.number {
	case 1260:
		return ": raise max_allowed_packet on the server, which bounds what a view strings together"
	case 1301:
		return ": raise max_allowed_packet on the server, or exclude the column"
	}
	return ""
}

// messageOf returns the server's message if messages of that number contain no values,
// and the number alone if they may.
func messageOf(number uint16, message string) string {
	if isShown(number) {
		return fmt.Sprintf("%s (error %d)", strings.TrimSpace(message), number)
	}
	return fmt.Sprintf("error %d", number)
}
