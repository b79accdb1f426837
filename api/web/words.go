package web

import "fmt"

// Count writes a number of things for people.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Of writes "2 of 3 sources", or "3 sources" when it is all of them.
func Of(done, all int, what string) string {
	if done == all {
		return Count(all, what)
	}
	return fmt.Sprintf("%d of %s", done, Count(all, what))
}
