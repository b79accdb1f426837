package client

import (
	"net/http"
	"slices"

	"headwater/cmd/headwater/exit"
)

// ExitCode tells an answer that says no before anything was done from one that says
// how a try ended.
func (e *APIError) ExitCode() int {
	switch {
	case e.HTTP >= 500:
		return exit.Unknown
	case e.HTTP == http.StatusUnprocessableEntity && !declined(e.Code):
		return exit.Failed
	}
	return exit.Refused
}

// declined reports whether a reason is one for which nothing is tried.
func declined(reason string) bool {
	return slices.Contains([]string{"invalid_config", "unsupported", "conflict", "already_syncing", "source_removed", "purged", "idempotency_mismatch"}, reason)
}

// exitOf returns what an operation that was not carried out ends the program
// with.
func exitOf(op OperationDoc) int {
	if op.Status == "partial" {
		return exit.Partial
	}
	if len(op.Targets) > 0 && !slices.ContainsFunc(op.Targets, func(t TargetDoc) bool { return !declined(t.Reason) }) {
		return exit.Refused
	}
	return exit.Failed
}

// partly returns what a request of which some targets failed ends the program
// with, of the others done were carried out.
func partly(done int) int {
	if done > 0 {
		return exit.Partial
	}
	return exit.Failed
}
