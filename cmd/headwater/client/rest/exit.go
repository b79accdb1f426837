package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"headwater/cmd/headwater/client/flags"
	"headwater/cmd/headwater/exit"
)

// ExitCode returns the exit code for the error. It distinguishes a refusal from
// a failed attempt.
func (e *APIError) ExitCode() int {
	switch {
	case e.HTTP >= 500:
		return exit.Unknown
	case e.HTTP == http.StatusUnprocessableEntity && !declined(e.Code):
		return exit.Failed
	}
	return exit.Refused
}

// declined reports whether that reason means that nothing was tried.
func declined(reason string) bool {
	return slices.Contains([]string{"invalid_config", "unsupported", "conflict", "already_syncing", "source_removed", "purged", "idempotency_mismatch"}, reason)
}

// exitOf returns the exit code for an operation that did not complete.
func exitOf(op OperationDoc) int {
	if op.Status == "partial" {
		return exit.Partial
	}
	if len(op.Targets) > 0 && !slices.ContainsFunc(op.Targets, func(t TargetDoc) bool { return !declined(t.Reason) }) {
		return exit.Refused
	}
	return exit.Failed
}

// Partly returns the exit code for a request of which some targets failed and
// done targets completed.
func Partly(done int) int {
	if done > 0 {
		return exit.Partial
	}
	return exit.Failed
}

// OperationError returns nil for a completed operation. Otherwise its error
// names each target that did not complete, and why.
func OperationError(op OperationDoc) error {
	if op.Status == "completed" {
		return nil
	}
	text := fmt.Sprintf("%s %s", op.Kind, op.Status)
	for _, target := range op.Targets {
		if target.Status == "completed" {
			continue
		}
		name := target.Name
		if name == "" {
			name = target.SourceID
		}
		why := []string{target.Status}
		for _, part := range []string{target.Reason, target.Message} {
			if part != "" && part != target.Status {
				why = append(why, part)
			}
		}
		text += "\n  " + flags.Said(name+": "+strings.Join(why, ": "))
	}
	return exit.With(exitOf(op), errors.New(text))
}
