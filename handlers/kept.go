package handlers

import (
	"encoding/json"
	"fmt"
	"slices"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/syncoptions"
)

// mean makes the options those of the sync, given the tables there are and were.
func (a *attempt) mean(tables ...[]event.Table) error {
	var kept command.SyncOptions
	if len(a.source.Sync) > 0 {
		if err := json.Unmarshal(a.source.Sync, &kept); err != nil {
			return fmt.Errorf("read the source's own sync options: %w", err)
		}
	}
	a.options = syncoptions.Effective(a.asked, kept, slices.Concat(tables...))
	return nil
}

// always returns the options that the source keeps from the end of this sync on,
// nil for those that it kept. A sync that fails leaves them as they were.
func (a *attempt) always() (json.RawMessage, error) {
	if !a.asked.Always {
		return nil, nil
	}
	return json.Marshal(a.asked.Kept())
}
