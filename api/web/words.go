package web

import (
	"fmt"

	"github.com/dustin/go-humanize"
)

// Count returns a number of things for people, such as "1 table" or "1,234 tables".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return humanize.Comma(int64(n)) + " " + what + "s"
}

// Of returns "2 of 3 sources", or "3 sources" if done equals all.
func Of(done, all int, what string) string {
	if done == all {
		return Count(all, what)
	}
	return fmt.Sprintf("%d of %s", done, Count(all, what))
}
