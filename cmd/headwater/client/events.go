package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"headwater/bus/event"
	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/duration"
	"headwater/cmd/headwater/exit"
	"headwater/cmd/headwater/terminal"
)

// EventsCmd prints events, and with --follow goes on with new ones.
type EventsCmd struct {
	URL       string   `name:"url" env:"HEADWATER_URL" default:"http://127.0.0.1:8080" help:"Address of the service."`
	Token     string   `env:"HEADWATER_TOKEN" help:"Token that says who you are; 'headwater token' prints one. Other users of the machine can see a command line: prefer the variable."`
	Workspace string   `short:"w" env:"HEADWATER_WORKSPACE" default:"default" help:"Workspace to work in."`
	Scope     string   `enum:",user,organization" default:"" help:"Only your own sources (user), or only the shared ones of the organization (organization); by default all that you may see."`
	JSON      bool     `name:"json" help:"Print each event as a CloudEvent in JSON, one a line, for programs."`
	Follow    bool     `short:"f" help:"Continue with new events, until Ctrl-C."`
	Type      []string `help:"Only events of this name, such as SyncCompleted; may repeat."`
	Source    string   `help:"Only events of this source, by name or id."`
	Since     string   `help:"Only events since a time such as 2026-01-31T12:00:00Z, or since 10m or 3d ago."`
	After     uint64   `help:"Only events after this sequence."`
}

// Run prints the events as they arrive, oldest first. With --follow it returns
// nil when ctx is done, and an error if the service refuses to continue.
func (c *EventsCmd) Run(ctx context.Context, s terminal.Streams) error {
	api, err := NewClient(c.URL, c.Token, c.Workspace)
	if err != nil {
		return err
	}
	query, err := c.query(ctx, api)
	if err != nil {
		return err
	}
	p := &eventPrinter{s: s, json: c.JSON, last: c.After}
	if !c.Follow {
		err = api.eventPages(ctx, query, p.print)
		if err == nil && p.count == 0 && !c.JSON {
			_, err = fmt.Fprintln(s.Out, "no events")
		}
		return err
	}
	err = api.followEvents(ctx, s, query, p)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *EventsCmd) query(ctx context.Context, api *Client) (url.Values, error) {
	query := url.Values{"after": {strconv.FormatUint(c.After, 10)}}
	if c.Scope != "" {
		query.Set("scope", c.Scope)
	}
	if len(c.Type) > 0 {
		query.Set("type", strings.Join(c.Type, ","))
	}
	if c.Since != "" {
		since, err := time.Parse(time.RFC3339Nano, c.Since)
		if err != nil {
			ago, err := duration.Parse(c.Since)
			if err != nil {
				return nil, exit.Usagef("--since: %q is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 10m or 3d", c.Since)
			}
			since = time.Now().Add(-ago)
		}
		query.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if c.Source == "" {
		return query, nil
	}
	var ids []string
	var err error
	for _, scope := range []string{"user", "organization"} {
		if c.Scope != "" && c.Scope != scope {
			continue
		}
		if ids, err = api.sourceIDs(ctx, scope, []string{c.Source}); err == nil {
			query.Set("source_id", ids[0])
			return query, nil
		}
		if refused := (*rest.APIError)(nil); errors.As(err, &refused) {
			break
		}
	}
	if missing := (*exit.Error)(nil); c.Scope == "" && errors.As(err, &missing) && missing.Code == exit.Refused {
		err = exit.With(exit.Refused, fmt.Errorf("no source %q in workspace %s; 'headwater list' shows what is there", c.Source, c.Workspace))
	}
	return nil, fmt.Errorf("%w; the events of a source that was removed are found by its id", err)
}

// eventPages calls take for every event that exists now.
func (c *Client) eventPages(ctx context.Context, query url.Values, take func(item json.RawMessage) error) error {
	query.Set("limit", "1000")
	for {
		a, err := c.Get(ctx, c.Path("events"), query)
		if err != nil {
			return err
		}
		var items []json.RawMessage
		if err := a.Into(&items); err != nil {
			return err
		}
		for _, item := range items {
			if err := take(item); err != nil {
				return err
			}
		}
		if a.NextCursor == "" {
			return nil
		}
		query.Set("cursor", a.NextCursor)
	}
}

const (
	// streamTimeout is how long a stream may send nothing before it counts as lost.
	// The service sends at least a comment every 15 s.
	streamTimeout = 45 * time.Second
	// maxPause is the longest pause before reconnecting to a lost stream.
	maxPause = 5 * time.Second
)

// followEvents prints a stream of events, and reconnects after the last printed
// event when the stream is lost. It returns if the first connection fails, if
// the service refuses, or if ctx is done.
func (c *Client) followEvents(ctx context.Context, s terminal.Streams, query url.Values, p *eventPrinter) error {
	connected, pause := false, c.Poll
	for {
		opened, err := c.eventStream(ctx, query, p)
		if opened {
			connected, pause = true, c.Poll
		}
		var refused *rest.APIError
		var unwritten *printError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &unwritten):
			return unwritten.error
		case errors.As(err, &refused) && refused.HTTP < 500 && refused.HTTP != http.StatusTooManyRequests, !connected && err != nil:
			return err
		}
		if opened {
			s.Note("the stream ended (%s), going on after %d", terminal.Plain(cause(err)), p.last)
		}
		if err := rest.Sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, maxPause)
	}
}

func cause(err error) string {
	if err == nil {
		return "by the service"
	}
	return err.Error()
}

// eventStream prints one stream until it ends. opened means that the stream
// began.
func (c *Client) eventStream(ctx context.Context, query url.Values, p *eventPrinter) (opened bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+c.Path("events")+"?"+query.Encode(), nil)
	if err != nil {
		return false, err
	}
	request.Header = http.Header{"Authorization": {"Bearer " + c.Token}, "Accept": {"text/event-stream"}}
	if p.last > 0 {
		request.Header.Set("Last-Event-ID", strconv.FormatUint(p.last, 10))
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return false, c.Unreachable(ctx, err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		_, err := c.Read(response)
		return false, cmp.Or(err, errors.New("the service has no event stream, is it another version?"))
	}
	defer response.Body.Close()
	lost := time.AfterFunc(streamTimeout, cancel)
	defer lost.Stop()
	lines := bufio.NewReader(response.Body)
	for {
		line, err := lines.ReadSlice('\n')
		var text []byte
		for err == bufio.ErrBufferFull && len(text) < rest.MaxAnswer {
			text = append(text, line...)
			line, err = lines.ReadSlice('\n')
		}
		if err == io.EOF {
			return true, nil // an incomplete line belongs to an event that was cut off
		}
		if err != nil {
			return true, err
		}
		lost.Reset(streamTimeout)
		// Each event is on one line and carries its own id and name.
		if data, ok := bytes.CutPrefix(append(text, line...), []byte("data: ")); ok {
			if err := p.print(bytes.TrimSuffix(data, []byte("\n"))); err != nil {
				return true, &printError{err}
			}
		}
	}
}

// printError marks an error of the output rather than of the service.
type printError struct{ error }

// eventPrinter prints events in order, each once.
type eventPrinter struct {
	s     terminal.Streams
	json  bool
	last  uint64 // sequence of the last printed event
	count int
}

func (p *eventPrinter) print(item json.RawMessage) error {
	var e eventDoc
	if err := json.Unmarshal(item, &e); err != nil || e.Sequence == 0 {
		return fmt.Errorf("the service's event is not as expected, is it another version? %w", err)
	}
	if e.Sequence <= p.last {
		return nil
	}
	p.last = e.Sequence
	if p.count++; p.json {
		_, err := fmt.Fprintf(p.s.Out, "%s\n", item)
		return err
	}
	if p.count == 1 {
		fmt.Fprintf(p.s.Out, "%8s  %-19s  %-19s  %-30s  %s\n", "SEQUENCE", "TIME", "EVENT", "SOURCE", "WHAT")
	}
	line := fmt.Sprintf("%8d  %-19s  %-19s  %-30s  %s", e.Sequence, e.Time.Local().Format(time.DateTime), terminal.Plain(event.NameOf(e.Type)), terminal.Plain(e.Subject), terminal.Plain(e.what()))
	_, err := fmt.Fprintln(p.s.Out, strings.TrimRight(line, " "))
	return err
}

// eventDoc is an event as the API shows it.
type eventDoc struct {
	Type     string          `json:"type"`
	Subject  string          `json:"subject"`
	Time     time.Time       `json:"time"`
	Sequence uint64          `json:"sequence"`
	Data     json.RawMessage `json:"data"`
}

// what describes the event in a few words, "" for an event of a later version.
func (e eventDoc) what() string {
	data := event.New(event.NameOf(e.Type))
	if data == nil || json.Unmarshal(e.Data, data) != nil {
		return ""
	}
	switch d := data.(type) {
	case *event.SourceConnected:
		return fmt.Sprintf("%s (%s), version %d", d.Name, d.Connector, d.ConfigVersion)
	case *event.SourceConnectFailed:
		return fmt.Sprintf("%s: %s: %s", d.Name, d.Reason, d.Message)
	case *event.SourceRemoved:
		if d.DestroyedAfter != nil {
			return fmt.Sprintf("%s, can be restored until %s", d.Name, d.DestroyedAfter.Format(time.RFC3339))
		}
		return d.Name
	case *event.SourceRestored:
		return d.Name
	case *event.SourcePurged:
		return d.Name
	case *event.SourceDestroyed:
		if d.Message != "" {
			return fmt.Sprintf("%s: %s: %s", d.Name, d.Status, d.Message)
		}
		return fmt.Sprintf("%s: %s, %s", d.Name, d.Status, terminal.Several(d.Files, "file"))
	case *event.SchemaDiscovered:
		return fmt.Sprintf("version %d, %s", d.Version, terminal.Several(len(d.Tables), "table"))
	case *event.SyncStarted:
		return fmt.Sprintf("%s, %s, attempt %d", d.Mode, terminal.Several(len(d.Tables), "table"), d.Attempt)
	case *event.SyncProgressed:
		return fmt.Sprintf("%s: %s", rest.FullName(d.Table.Namespace, d.Table.Name), terminal.Several(int(d.Table.Records), "row"))
	case *event.ChangesLanded:
		return fmt.Sprintf("up to %s: %s", d.Changes.Position, terminal.Several(int(d.Records), "change"))
	case *event.ChangesLagging:
		return d.Message
	case *event.ChangesGivenUp:
		return fmt.Sprintf("%s: %s", d.Reason, d.Message)
	case *event.SyncCompleted:
		return fmt.Sprintf("%s: %s, %s in %s", d.Status, terminal.Several(int(d.Records), "row"), terminal.Size(d.Bytes), terminal.Took(d.DurationMS))
	case *event.SyncFailed:
		return fmt.Sprintf("%s: %s", d.Reason, d.Message)
	case *event.SyncCancelled:
		return fmt.Sprintf("%s: %s", d.Reason, d.Message)
	case *event.ConnectionTested:
		return d.Message
	case *event.ScheduleChanged:
		switch {
		case d.Schedule == nil:
			return "removed: it is synced when somebody asks"
		case d.Schedule.Paused:
			return "paused: " + d.Sentence
		}
		return d.Sentence
	case *event.ScheduleFired:
		return fmt.Sprintf("due %s: %s, %s", d.Due.Local().Format(time.DateTime), d.Outcome, d.SyncID)
	case *event.ScheduleSkipped:
		return fmt.Sprintf("due %s: skipped, %s", d.Due.Local().Format(time.DateTime), d.Message)
	case *event.ScheduleMissed:
		return fmt.Sprintf("%s from %s on: %s", terminal.Several(d.Count, "run"), d.From.Local().Format(time.DateTime), d.Message)
	case *event.TableVerified:
		return fmt.Sprintf("%s is %s: %s", rest.FullName(d.Table.Namespace, d.Table.Name), d.Table.Status, d.Table.Message)
	case *event.TableMaintained:
		return fmt.Sprintf("%s: %s", rest.FullName(d.Table.Namespace, d.Table.Name), maintained(d.Table))
	case *event.CommandRejected:
		return fmt.Sprintf("%s: %s: %s", d.Command, d.Reason, d.Message)
	case *event.OperationAccepted:
		return fmt.Sprintf("%s of %s", d.Operation.Kind, terminal.Several(len(d.Accepted), "target"))
	case *event.WebhookCreated:
		return fmt.Sprintf("%s made it, for %s", d.Operation.Actor, d.Receiver)
	case *event.WebhookRotated:
		return fmt.Sprintf("%s gave it a new secret, for %s", d.Operation.Actor, d.Receiver)
	case *event.WebhookDeleted:
		return fmt.Sprintf("%s deleted it, for %s", d.Operation.Actor, d.Receiver)
	case *event.TokenCreated:
		return fmt.Sprintf("%s made the token %s, %s, until %s", d.Operation.Actor, d.Name, d.Role, d.ExpiresAt.UTC().Format(time.DateOnly))
	case *event.TokenRevoked:
		return fmt.Sprintf("%s revoked the token %s", d.Operation.Actor, d.Name)
	case *event.TokenUsed:
		return fmt.Sprintf("the token %s was used", d.Name)
	case *event.RequestRefused:
		return fmt.Sprintf("%s, %s %s: %d %s", d.Operation.Actor, d.Method, d.Route, d.Status, d.Message)
	}
	return ""
}
