package command

import (
	"encoding/json"
	"errors"
	"fmt"

	"headwater/bus/event"
)

// Encode returns the headers and the body with which the command is published.
// It fails for a command that lacks a required field.
func (c *Command) Encode() (headers map[string]string, body []byte, err error) {
	if c.Data == nil {
		return nil, nil, errors.New("command without data")
	}
	headers, err = event.Headers(c.Name(), c.ID, c.Time, c.TraceParent, &c.Data.Header().Meta)
	if err != nil {
		return nil, nil, err
	}
	if body, err = json.Marshal(c.Data); err != nil {
		return nil, nil, fmt.Errorf("payload of %s: %w", c.Name(), err)
	}
	return headers, body, nil
}
