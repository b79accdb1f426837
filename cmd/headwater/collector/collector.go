// Package collector holds back the garbage collector while the program's
// packages are initialized. They allocate about 8 MiB, nearly all of which stays
// in use, so collecting it is wasted work.
//
// This is the one package variable whose initialization has a side effect; the
// project has no init functions. Go initializes packages that are ready in the
// order of their import paths: this one, which imports nothing of the project,
// precedes the libraries that allocate most.
package collector

import "runtime/debug"

var configured = debug.SetGCPercent(-1)

// Begin starts the garbage collector with n times the garbage that GOGC allows:
// 1 for a service, more for a process that ends soon. Call it once, first in
// main.
func Begin(n int) {
	if configured > 0 {
		debug.SetGCPercent(configured * n)
	}
}
