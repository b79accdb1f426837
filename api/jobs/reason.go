package jobs

import (
	"net/http"

	"headwater/bus/event"
)

// outcomes maps each reason to the HTTP status of its answer. The error code of
// the answer is the reason itself.
var outcomes = map[event.Reason]int{
	event.ReasonInvalidConfig:   http.StatusUnprocessableEntity,
	event.ReasonUnreachable:     http.StatusUnprocessableEntity,
	event.ReasonAuthentication:  http.StatusUnprocessableEntity,
	event.ReasonPermission:      http.StatusUnprocessableEntity,
	event.ReasonNotFound:        http.StatusUnprocessableEntity, // not found in the source; an unknown source is a 404 before any command
	event.ReasonBadData:         http.StatusUnprocessableEntity,
	event.ReasonUnsupported:     http.StatusUnprocessableEntity,
	event.ReasonLimit:           http.StatusUnprocessableEntity,
	event.ReasonTimeout:         http.StatusUnprocessableEntity,
	event.ReasonSchemaChanged:   http.StatusUnprocessableEntity,
	event.ReasonStorage:         http.StatusUnprocessableEntity,
	event.ReasonSecretDestroyed: http.StatusUnprocessableEntity,
	event.ReasonCancelled:       http.StatusUnprocessableEntity,
	event.ReasonInternal:        http.StatusUnprocessableEntity, // not a 5xx, because the outcome is known
	event.ReasonConflict:        http.StatusConflict,
	event.ReasonAlreadySyncing:  http.StatusConflict,
	event.ReasonSourceRemoved:   http.StatusConflict,
	event.ReasonPurged:          http.StatusGone,
}

// StatusOf returns status and code of a request for which no target completed:
// those of the reason that all targets share, else 422.
func StatusOf(reasons []event.Reason) (status int, code string) {
	for i, reason := range reasons {
		s, known := outcomes[reason]
		if !known {
			s = http.StatusUnprocessableEntity
		}
		if i == 0 {
			status, code = s, string(reason)
			continue
		}
		if s != status {
			status = http.StatusUnprocessableEntity
		}
		if string(reason) != code {
			code = "failed"
		}
	}
	if status == 0 || code == "" {
		return http.StatusUnprocessableEntity, "failed"
	}
	return status, code
}
