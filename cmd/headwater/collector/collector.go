// Package collector holds the garbage collector back while the program's packages
// initialise. They make some 8 MiB, nearly all of which stays, so that collecting
// then is work for nothing.
//
// The house has no init functions, and this is the one variable whose value is not
// the point. Go initialises packages that are ready in the order of their paths:
// this one, which imports nothing else, comes before the libraries that make most.
package collector

import "runtime/debug"

var configured = debug.SetGCPercent(-1)

// Begin lets the collector work, at n times the garbage that GOGC says: 1 for what
// serves, more for a process that soon ends. It is called once, first of all in
// main.
func Begin(n int) {
	if configured > 0 {
		debug.SetGCPercent(configured * n)
	}
}
