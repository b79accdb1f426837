package driver

import "fmt"

// Count returns a number of things for people, such as "1 row" or "12 rows".
func Count[N ~int | ~int64 | ~uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
