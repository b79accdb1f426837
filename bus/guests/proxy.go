package guests

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"headwater/bus/event"
)

const (
	// proxySubject is the prefix on which subscribers' JetStream requests
	// arrive: <proxySubject>.<guest>.<what follows $JS.API.>. Clusters are
	// configured with this name.
	proxySubject = "headwater.gate"
	// proxyOutside stands in place of the guest on an external cluster, where
	// the server identifies the guest in a header.
	proxyOutside = "_"
	proxyQueue   = "headwater-gate" // queue group, so that one of several nodes answers

	proxyWait     = 5 * time.Second
	proxyRequests = 256 // in progress at once
	proxyShare    = 32  // of these, for one organization
	api           = "$JS.API."
)

// errDenied refuses what no subscriber may do.
var errDenied = errors.New("subscribers may read events and manage consumers of their own, nothing else")

// errCrowded refuses a request while too many are in progress.
var errCrowded = errors.New("too many requests at once, try again")

// proxy answers subscribers' JetStream requests itself, or passes them on if
// they ask for no more than a reader of the granted events needs. A push
// consumer, for example, could otherwise deliver to any subject of the streams'
// account. Deliveries of consumers do not pass through here.
type proxy struct {
	nc       *nats.Conn
	log      *slog.Logger
	replicas int
	outside  *callout // nil with the embedded broker

	busy   chan struct{} // one slot for each request in progress
	mu     sync.Mutex
	guests map[string]*guest
	// unclaimed are the consumers of guests that have not connected yet: names
	// on the stream, by the guests' names.
	unclaimed map[string]map[string]string
	swept     time.Time
	made      map[string]*quota // by organization
}

func newProxy(nc *nats.Conn, log *slog.Logger) *proxy {
	return &proxy{nc: nc, log: log, busy: make(chan struct{}, proxyRequests), guests: map[string]*guest{}}
}

func (p *proxy) listen() error {
	if _, err := p.nc.QueueSubscribe(proxySubject+".>", proxyQueue, p.receive); err != nil {
		return fmt.Errorf("answer the subscribers' calls: %w", err)
	}
	return p.nc.FlushTimeout(proxyWait)
}

// receive answers in a goroutine, so that a slow answer does not delay other
// guests.
func (p *proxy) receive(m *nats.Msg) {
	select {
	case p.busy <- struct{}{}:
	default:
		p.respond(m, refusal(m.Subject, errCrowded))
		return
	}
	name, call, _ := strings.Cut(strings.TrimPrefix(m.Subject, proxySubject+"."), ".")
	who, inbox, err := p.find(name, m.Header)
	if err == nil && who.all.working.Add(1) > proxyShare {
		who.all.working.Add(-1)
		err = errCrowded
	}
	if err != nil {
		<-p.busy
		p.respond(m, refusal(m.Subject, err))
		return
	}
	go func() {
		defer func() {
			who.all.working.Add(-1)
			<-p.busy
		}()
		answer, err := p.answer(who, inbox, call, m)
		if err != nil {
			answer = refusal(m.Subject, err)
		}
		p.respond(m, answer)
	}()
}

func (p *proxy) respond(m *nats.Msg, answer []byte) {
	if err := m.Respond(answer); err != nil {
		p.log.Debug("cannot answer a subscriber", "error", err)
	}
}

// answer returns the answer to one request.
func (p *proxy) answer(who *guest, inbox, call string, m *nats.Msg) ([]byte, error) {
	switch verb, rest := cutCall(call); verb {
	case "INFO":
		return json.Marshal(map[string]any{"type": "io.nats.jetstream.api.v1.account_info_response", "streams": 1,
			"limits": map[string]any{"max_memory": 0, "max_storage": 0, "max_streams": 1, "max_consumers": maxDurables},
			"api":    map[string]any{"level": server.JSApiLevel, "total": 0, "errors": 0}})
	case "STREAM.NAMES":
		return streamNames(m.Data)
	case "STREAM.LIST":
		info, err := p.stream()
		if err != nil {
			return nil, err
		}
		return page("io.nats.jetstream.api.v1.stream_list_response", "streams", m.Data, []json.RawMessage{info})
	case "STREAM.INFO":
		return p.stream()
	case "CONSUMER.NAMES", "CONSUMER.LIST":
		return p.list(who, verb, m.Data)
	case "CONSUMER.CREATE":
		return p.create(who, inbox, rest, m.Data)
	case "CONSUMER.INFO":
		_, info, err := p.owned(who, rest)
		if err != nil {
			return nil, err
		}
		info["type"] = "io.nats.jetstream.api.v1.consumer_info_response"
		return json.Marshal(shown(info))
	case "CONSUMER.DELETE":
		return p.remove(who, rest)
	case "CONSUMER.PAUSE", "CONSUMER.RESET", "CONSUMER.UNPIN":
		return p.forward(who, verb, rest, m.Data)
	}
	return nil, errDenied
}

// cutCall splits a call on the events' stream, or on no stream, into its verb
// and what follows the stream's name. Any other call has no verb.
func cutCall(call string) (verb, rest string) {
	// An older call to create a durable.
	call = strings.Replace(call, "CONSUMER.DURABLE.CREATE.", "CONSUMER.CREATE.", 1)
	tokens := strings.SplitN(call, ".", 4)
	if len(tokens) < 3 {
		return call, ""
	}
	if tokens[2] != event.Stream {
		return "", ""
	}
	return tokens[0] + "." + tokens[1], strings.Join(tokens[3:], ".")
}

// find returns the guest that sent a request, and the prefix of its inboxes.
// With the embedded broker the subject identifies the guest, and the guest's
// account fixes it. On an external cluster the server writes the user's name,
// which the callout assigned, into a header that replaces any other.
func (p *proxy) find(name string, header nats.Header) (who *guest, inbox string, err error) {
	if p.outside == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if who := p.guests[name]; who != nil {
			return who, strings.TrimSuffix(inboxPrefix, "."), nil
		}
		return nil, "", errDenied
	}
	var info server.ClientInfo
	if err := json.Unmarshal([]byte(header.Get(server.ClientInfoHdr)), &info); err != nil || name != proxyOutside {
		return nil, "", errDenied
	}
	filters := strings.Fields(info.User)
	if n := len(filters); n > 0 && strings.HasPrefix(filters[n-1], inboxPrefix) {
		filters, inbox = filters[:n-1], filters[n-1]
	}
	if !eventFilters(filters) {
		return nil, "", errors.New("the cluster does not say who asks: import the proxy with share: true")
	}
	return p.register(filters), inbox, nil
}

// streamNames answers with the events' stream, or with none if the client asks
// for the stream of other subjects.
func streamNames(request []byte) ([]byte, error) {
	var of struct {
		Subject string `json:"subject"`
	}
	if len(request) > 0 {
		if err := json.Unmarshal(request, &of); err != nil {
			return nil, errors.New("the request is not JSON")
		}
	}
	names := []string{event.Stream}
	if all := event.SubjectPrefix + ".>"; of.Subject != "" && !covers(all, of.Subject) && !covers(of.Subject, all) {
		names = []string{}
	}
	return page("io.nats.jetstream.api.v1.stream_names_response", "streams", request, names)
}

// stream returns the stream's settings and state. The options of the request are
// not passed on: they could ask for everybody's subjects.
func (p *proxy) stream() ([]byte, error) { return p.ask("STREAM.INFO."+event.Stream, nil) }

// ask sends a call to JetStream as the service, and returns the answer.
func (p *proxy) ask(call string, body []byte) ([]byte, error) {
	answer, err := p.nc.Request(api+call, body, proxyWait)
	if err != nil {
		return nil, err
	}
	return answer.Data, nil
}

// page returns one page of a short list, as JetStream pages lists.
func page[T any](kind, field string, request []byte, items []T) ([]byte, error) {
	const limit = 256
	var from struct {
		Offset int `json:"offset"`
	}
	if len(request) > 0 {
		if err := json.Unmarshal(request, &from); err != nil {
			return nil, errors.New("the request is not JSON")
		}
	}
	start := min(max(0, from.Offset), len(items))
	return json.Marshal(map[string]any{"type": kind, "total": len(items), "offset": start, "limit": limit,
		field: items[start:min(start+limit, len(items))]})
}

// refusal returns an error in JetStream's form, so that clients show the reason.
func refusal(subject string, reason error) []byte {
	kind := "io.nats.jetstream.api.v1.consumer_create_response"
	code, number := 403, 10003
	if errors.Is(reason, errNoConsumer) {
		code, number = 404, 10014
	}
	if !strings.Contains(subject, ".CREATE.") {
		kind = "io.nats.jetstream.api.v1.error"
	}
	body, err := json.Marshal(map[string]any{"type": kind, "error": map[string]any{"code": code, "err_code": number, "description": reason.Error()}})
	if err != nil {
		return nil
	}
	return body
}
