package guests

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"headwater/bus/event"
)

// A push consumer delivers to a subject of the streams' own account. A guest's
// lies below subjectPush there, in a part that is led into the inboxes of its
// account and nowhere else, and nothing else listens to.

var queueName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_=/:+-][A-Za-z0-9_=/:+.-]{0,127}$`) })

// pushPrefix returns the subject prefix to which a guest's consumers deliver:
// one for each guest or, on an external cluster, for each organization, as
// accounts are there.
func (p *proxy) pushPrefix(who *guest) string {
	if p.outside == nil {
		return subjectPush + "." + who.name + "."
	}
	return subjectPush + "." + grantedOrganization(who.filters) + "."
}

// pushInto puts the guest's inbox below the prefix if the consumer is a push
// consumer. It refuses any other subject, and inboxes that are not the guest's.
func (p *proxy) pushInto(who *guest, inbox string, c *consumerConfig) error {
	if c.DeliverSubject == "" {
		return nil
	}
	rest, ok := strings.CutPrefix(c.DeliverSubject, inboxPrefix)
	switch {
	case inbox == "":
		return errors.New("this cluster does not say which inbox is yours: all of Headwater's nodes must be of one version")
	case len(c.DeliverSubject) > maxSubject || !ok || strings.ContainsAny(rest, "*>") || !covers(inbox+".>", c.DeliverSubject):
		return fmt.Errorf("a push consumer of yours delivers to an inbox: deliver_subject begins with %s. and has no wildcard", inbox)
	case c.DeliverGroup != "" && !queueName().MatchString(c.DeliverGroup):
		return errors.New("a deliver_group has up to 128 letters, digits and - _ . = / : +")
	}
	c.DeliverSubject = p.pushPrefix(who) + rest
	return nil
}

// inboxOf returns the guest's own name for the subject to which its consumer
// delivers.
func inboxOf(subject string) string {
	if rest, ok := strings.CutPrefix(subject, subjectPush+"."); ok {
		if _, rest, ok = strings.Cut(rest, "."); ok {
			return inboxPrefix + rest
		}
	}
	return subject
}

// grantedOrganization returns the organization token of a grant's subjects.
func grantedOrganization(filters []string) string {
	organization, _, _ := strings.Cut(strings.TrimPrefix(filters[0], event.SubjectPrefix+"."), ".")
	return organization
}
