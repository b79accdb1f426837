package guests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"headwater/bus/event"
	"headwater/bus/wire"
)

// owned returns the name on the stream and JetStream's description of the
// guest's consumer with that name. It returns errNoConsumer if the guest has
// none.
func (p *proxy) owned(who *guest, name string) (string, map[string]any, error) {
	real := name
	if p.outside == nil {
		real = who.realName(name)
	}
	if real == "" || !consumerName.MatchString(name) {
		return "", nil, errNoConsumer
	}
	info, err := p.askJSON("CONSUMER.INFO."+event.Stream+"."+real, nil)
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

func (p *proxy) remove(who *guest, name string) ([]byte, error) {
	who.making.Lock()
	defer who.making.Unlock()
	real, _, err := p.owned(who, name)
	if err != nil {
		return nil, err
	}
	answer, err := p.ask("CONSUMER.DELETE."+event.Stream+"."+real, nil)
	if err != nil {
		return nil, err
	}
	return answer, who.alias(name, "")
}

// forward passes a pause, reset or unpin of one of the guest's consumers to
// JetStream.
func (p *proxy) forward(who *guest, verb, name string, body []byte) ([]byte, error) {
	real, _, err := p.owned(who, name)
	if err != nil {
		return nil, err
	}
	answer, err := p.askJSON(verb+"."+event.Stream+"."+real, body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shown(answer))
}

func (p *proxy) list(who *guest, verb string, request []byte) ([]byte, error) {
	mine, err := p.consumersOf(who)
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

// consumersOf returns JetStream's descriptions of the guest's consumers.
func (p *proxy) consumersOf(who *guest) ([]map[string]any, error) {
	mine := []map[string]any{}
	err := p.eachConsumer(func(info map[string]any, metadata map[string]any) {
		if metadata[metaGuest] == who.name {
			mine = append(mine, info)
		}
	})
	return mine, err
}

// durables returns the number of durables of the guest and of its organization.
func (p *proxy) durables(who *guest) (mine, all int, err error) {
	organization := wire.OrganizationIn(who.filters)
	err = p.eachConsumer(func(info, metadata map[string]any) {
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

func (p *proxy) eachConsumer(visit func(info, metadata map[string]any)) error {
	for offset := 0; ; {
		answer, err := p.askJSON("CONSUMER.LIST."+event.Stream, fmt.Appendf(nil, `{"offset":%d}`, offset))
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
func (p *proxy) remember() error {
	left := map[string]map[string]string{}
	err := p.eachConsumer(func(info, metadata map[string]any) {
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
	p.unclaimed = left
	return err
}

// sweep forgets the names of consumers that the broker has ended, at most once a
// minute.
func (p *proxy) sweep() {
	p.mu.Lock()
	if p.outside != nil || time.Since(p.swept) < time.Minute {
		p.mu.Unlock()
		return
	}
	p.swept = time.Now()
	before := map[*guest]map[string]string{}
	for _, who := range p.guests {
		before[who] = who.aliases()
	}
	p.mu.Unlock()
	there := map[string]bool{}
	err := p.eachConsumer(func(info, _ map[string]any) {
		name, _ := info["name"].(string)
		there[name] = true
	})
	if err != nil {
		p.log.Debug("cannot list the consumers", "error", err)
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

func (p *proxy) askJSON(call string, body []byte) (map[string]any, error) {
	answer, err := p.ask(call, body)
	if err != nil {
		return nil, err
	}
	var decoded map[string]any
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber() // a float cannot represent all sequences
	if err := decoder.Decode(&decoded); err != nil {
		return nil, fmt.Errorf("the broker's answer: %w", err)
	}
	return decoded, nil
}

func configOf(info map[string]any) map[string]any {
	config, _ := info["config"].(map[string]any)
	return config
}

// shown returns a description with the name that the guest gave the consumer.
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
