package handlers

import (
	"slices"

	"headwater/bus/event"
)

// nothingFound is the failure of a sync whose source shows no table, though it
// was known to have some.
func nothingFound(known []event.Table) error {
	const check = "check its user's grants, its path and which schemas it reads"
	if len(known) == 0 {
		return failf(event.ReasonNotFound, "the source shows no table; %s", check)
	}
	names := make([]string, len(known))
	for i, t := range known {
		names[i] = nameOf(t)
	}
	return failf(event.ReasonNotFound, "the source shows no table any more, and had %s; %s", someOf(names), check)
}

// vanished tells of the tables that the sync would have taken by the schema
// known before, and that are not among those found. What landed of them stays.
func (a *attempt) vanished(known, found []event.Table) (gone []event.TableResult) {
	there := make(map[string]bool, len(found))
	for _, t := range found {
		there[nameOf(t)] = true
	}
	for _, t := range known {
		if there[nameOf(t)] || !takes(a.options, t.Namespace, t.Name) {
			continue
		}
		gone = append(gone, event.TableResult{
			Name: t.Name, Namespace: t.Namespace, Status: statusWaiting, Mode: a.mode, Reason: event.ReasonNotFound,
			Message: "the source no longer shows this table: it was dropped or renamed, or may not be read; what landed of it stays as it is",
		})
	}
	return slices.Clip(gone)
}
