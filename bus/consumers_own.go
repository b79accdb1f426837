package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"headwater/bus/wire"
)

// owned returns the guest's consumer of that name: its name on the stream, and
// what JetStream tells of it. It returns errNoConsumer for any other.
func (g *gate) owned(who *guest, name string) (string, map[string]any, error) {
	real := name
	if g.outside == nil {
		real = who.realName(name)
	}
	if real == "" || !consumerName.MatchString(name) {
		return "", nil, errNoConsumer
	}
	info, err := g.askJSON("CONSUMER.INFO."+StreamEvents+"."+real, nil)
	if err != nil {
		return "", nil, err
	}
	if info["error"] != nil {
		if code, _ := info["error"].(map[string]any)["code"].(json.Number); code != "404" {
			return "", nil, errors.New("the consumer cannot be read now, try again")
		}
		return "", nil, errNoConsumer
	}
	if metadata, _ := configOf(info)["metadata"].(map[string]any); metadata[metaGuest] != who.name {
		return "", nil, errNoConsumer
	}
	return real, info, nil
}

func (g *gate) remove(who *guest, name string) ([]byte, error) {
	who.making.Lock()
	defer who.making.Unlock()
	real, _, err := g.owned(who, name)
	if err != nil {
		return nil, err
	}
	answer, err := g.ask("CONSUMER.DELETE."+StreamEvents+"."+real, nil)
	if err != nil {
		return nil, err
	}
	return answer, who.alias(name, "")
}

// turn pauses, resets or unpins a consumer of the guest's own.
func (g *gate) turn(who *guest, verb, name string, body []byte) ([]byte, error) {
	real, _, err := g.owned(who, name)
	if err != nil {
		return nil, err
	}
	answer, err := g.askJSON(verb+"."+StreamEvents+"."+real, body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shown(answer))
}

func (g *gate) list(who *guest, verb string, request []byte) ([]byte, error) {
	mine, err := g.consumersOf(who)
	if err != nil {
		return nil, err
	}
	if verb == "CONSUMER.LIST" {
		for i := range mine {
			mine[i] = shown(mine[i])
		}
		return page("io.nats.jetstream.api.v1.consumer_list_response", "consumers", request, mine)
	}
	names := []any{}
	for _, info := range mine {
		names = append(names, shown(info)["name"])
	}
	return page("io.nats.jetstream.api.v1.consumer_names_response", "consumers", request, names)
}

// consumersOf returns the guest's consumers, as JetStream tells of them.
func (g *gate) consumersOf(who *guest) ([]map[string]any, error) {
	mine := []map[string]any{}
	err := g.eachConsumer(func(info map[string]any, metadata map[string]any) {
		if metadata[metaGuest] == who.name {
			mine = append(mine, info)
		}
	})
	return mine, err
}

// durables counts those of the guest, and those of its organization.
func (g *gate) durables(who *guest) (mine, all int, err error) {
	organization := wire.OrganizationIn(who.filters)
	err = g.eachConsumer(func(info, metadata map[string]any) {
		config := configOf(info)
		if metadata[metaGuest] == nil || config["durable_name"] == nil {
			return
		}
		if metadata[metaGuest] == who.name {
			mine++
		}
		var filters []string
		if one, _ := config["filter_subject"].(string); one != "" {
			filters = []string{one}
		}
		several, _ := config["filter_subjects"].([]any)
		for _, f := range several {
			text, _ := f.(string)
			filters = append(filters, text)
		}
		if organization != "" && wire.OrganizationIn(filters) == organization {
			all++
		}
	})
	return mine, all, err
}

func (g *gate) eachConsumer(visit func(info, metadata map[string]any)) error {
	for offset := 0; ; {
		answer, err := g.askJSON("CONSUMER.LIST."+StreamEvents, fmt.Appendf(nil, `{"offset":%d}`, offset))
		if err != nil {
			return err
		}
		consumers, _ := answer["consumers"].([]any)
		if answer["error"] != nil {
			return errors.New("the consumers cannot be listed now, try again")
		}
		if len(consumers) == 0 {
			return nil
		}
		offset += len(consumers)
		for _, c := range consumers {
			info, _ := c.(map[string]any)
			metadata, _ := configOf(info)["metadata"].(map[string]any)
			visit(info, metadata)
		}
	}
}

// remember finds the consumers that guests left before a restart.
func (g *gate) remember() error {
	left := map[string]map[string]string{}
	err := g.eachConsumer(func(info, metadata map[string]any) {
		owner, _ := metadata[metaGuest].(string)
		name, _ := metadata[metaName].(string)
		real, _ := info["name"].(string)
		if owner == "" || name == "" || real == "" {
			return
		}
		if left[owner] == nil {
			left[owner] = map[string]string{}
		}
		left[owner][name] = real
	})
	g.left = left
	return err
}

// sweep forgets the names of consumers that the broker has ended, at most once
// a minute.
func (g *gate) sweep() {
	g.mu.Lock()
	if g.outside != nil || time.Since(g.swept) < time.Minute {
		g.mu.Unlock()
		return
	}
	g.swept = time.Now()
	before := map[*guest]map[string]string{}
	for _, who := range g.guests {
		before[who] = who.aliases()
	}
	g.mu.Unlock()
	there := map[string]bool{}
	err := g.eachConsumer(func(info, _ map[string]any) {
		name, _ := info["name"].(string)
		there[name] = true
	})
	if err != nil {
		g.log.Debug("cannot list the consumers", "error", err)
		return
	}
	for who, aliases := range before {
		for name, real := range aliases {
			if !there[real] {
				who.forget(name, real)
			}
		}
	}
}

func (g *gate) askJSON(call string, body []byte) (map[string]any, error) {
	answer, err := g.ask(call, body)
	if err != nil {
		return nil, err
	}
	var decoded map[string]any
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber() // sequences do not fit a float
	if err := decoder.Decode(&decoded); err != nil {
		return nil, fmt.Errorf("the broker's answer: %w", err)
	}
	return decoded, nil
}

func configOf(info map[string]any) map[string]any {
	config, _ := info["config"].(map[string]any)
	return config
}

// shown is a consumer under the name that its guest gave it.
func shown(info map[string]any) map[string]any {
	config := configOf(info)
	metadata, _ := config["metadata"].(map[string]any)
	name, ok := metadata[metaName]
	if !ok {
		return info
	}
	info["name"], config["name"] = name, name
	if config["durable_name"] != nil {
		config["durable_name"] = name
	}
	if subject, ok := config["deliver_subject"].(string); ok {
		config["deliver_subject"] = inboxOf(subject)
	}
	delete(metadata, metaGuest)
	delete(metadata, metaName)
	return info
}
