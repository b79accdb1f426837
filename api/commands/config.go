package commands

import (
	"bytes"
	"encoding/json"
	"errors"

	"headwater/api/jobs"
	"headwater/api/web"
	"headwater/bus/event"
	"headwater/connectors"
	"headwater/connectors/driver"
)

// resolved is a configuration that a connector accepts, with the secrets
// separated.
type resolved struct {
	connector      string
	public, secret json.RawMessage
}

// resolve validates a configuration. Problems are returned as details; field
// maps the name of a setting to its path in the request.
func (c *Calls) resolve(kind string, config json.RawMessage, field func(string) string) (found resolved, wrong []web.Detail, err error) {
	connector, err := c.Connectors.Resolve(kind, config)
	if err != nil {
		return judged(resolved{}, err, field)
	}
	return c.split(connector, config, field)
}

// split is resolve for a known connector.
func (c *Calls) split(connector string, config json.RawMessage, field func(string) string) (found resolved, wrong []web.Detail, err error) {
	found.connector = connector
	found.public, found.secret, err = c.Connectors.Split(connector, config)
	return judged(found, err, field)
}

// judged turns the error of an invalid configuration into details, and returns
// any other error as it is.
func judged(found resolved, err error, field func(string) string) (_ resolved, wrong []web.Detail, _ error) {
	var bad *connectors.ConfigError
	var kind *connectors.TypeError
	add := func(at, message string) {
		wrong = append(wrong, web.Detail{Field: field(at), Message: message, Reason: string(event.ReasonInvalidConfig)})
	}
	switch {
	case errors.As(err, &bad):
		for _, f := range bad.Fields {
			name := "connection_config"
			if f.Field != "" {
				name += "." + f.Field
			}
			add(name, f.Message)
		}
	case errors.As(err, &kind):
		add("type", kind.Message)
	case errors.Is(err, driver.ErrUnsupported): // this build no longer has the connector
		add("type", err.Error())
	default:
		return found, nil, err
	}
	return found, wrong, nil
}

// sealed stores the secrets and returns their reference, or "" if there are none.
func sealed(secret json.RawMessage, store func([]byte) (string, error)) (string, error) {
	if trimmed := bytes.TrimSpace(secret); len(trimmed) == 0 || string(trimmed) == "{}" || string(trimmed) == "null" {
		return "", nil
	}
	return store(secret)
}

// invalid returns the failure for an invalid configuration.
func invalid(wrong []web.Detail) *web.Failure {
	message := wrong[0].Field + " " + wrong[0].Message
	status, code := jobs.StatusOf([]event.Reason{event.ReasonInvalidConfig})
	return web.Fail(status, code, "The configuration cannot be right: %s", message).With(wrong...)
}
