package web

import "fmt"

// Count returns a number of things for people, such as "1 table" or "2 tables".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Of returns "2 of 3 sources", or "3 sources" if done equals all.
func Of(done, all int, what string) string {
	if done == all {
		return Count(all, what)
	}
	return fmt.Sprintf("%d of %s", done, Count(all, what))
}
