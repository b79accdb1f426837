package syncing

import (
	"slices"
	"strings"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
	"headwater/handlers/schema"
	"headwater/handlers/syncoptions"
)

// maxTold bounds how many tables that are left out, and never landed, a sync
// tells of: the schema has all of them.
const maxTold = 100

const stays = "; what landed of it stays as it is"

// nothingFound is the failure of a sync whose source shows no table.
func nothingFound(known []event.Table, left []event.LeftOut) error {
	const check = "check its user's grants, its path and which schemas it reads"
	why := ""
	if len(left) > 0 {
		why = "; left out is " + schema.Name(left[0].Namespace, left[0].Name) + ": " + left[0].Reason
	}
	if len(known) == 0 {
		return outcome.Failf(event.ReasonNotFound, "the source shows no table; %s%s", check, why)
	}
	names := make([]string, len(known))
	for i, t := range known {
		names[i] = schema.Name(t.Namespace, t.Name)
	}
	return outcome.Failf(event.ReasonNotFound, "the source shows no table any more, and had %s; %s%s", syncoptions.SomeOf(names), check, why)
}

// lost returns the names of the tables that were known or have landed, and that
// are not among those offered. A table that was lost long ago is told of by
// every sync: what lies in the lake is as old as that.
func lost(known []event.Table, landed []readmodel.LandedTable, offered []event.Table) (names []event.Table) {
	seen := make(map[event.LeftOut]bool, len(offered))
	for _, t := range offered {
		seen[event.LeftOut{Namespace: t.Namespace, Name: t.Name}] = true
	}
	add := func(namespace, name string) {
		if k := (event.LeftOut{Namespace: namespace, Name: name}); !seen[k] {
			seen[k] = true
			names = append(names, event.Table{Namespace: namespace, Name: name})
		}
	}
	for _, t := range known {
		add(t.Namespace, t.Name)
	}
	for _, t := range landed {
		add(t.Namespace, t.Name)
	}
	schema.Sort(names)
	return names
}

func leftTables(left []event.LeftOut) []event.Table {
	names := make([]event.Table, len(left))
	for i, l := range left {
		names[i] = event.Table{Namespace: l.Namespace, Name: l.Name}
	}
	return names
}

func unreadTables(unread []driver.UnreadTable) []event.Table {
	names := make([]event.Table, len(unread))
	for i, u := range unread {
		names[i] = event.Table{Namespace: u.Namespace, Name: u.Name}
	}
	return names
}

// missingTables returns a result for each table that the sync would take and the
// source does not offer: tables that are lost, tables that are left out, and names
// that no table has.
func (a *attempt) missingTables(left []event.LeftOut, unread []driver.UnreadTable) (gone []event.TableResult) {
	reasons := map[event.LeftOut]string{}
	for _, l := range left {
		reasons[event.LeftOut{Namespace: l.Namespace, Name: l.Name}] = l.Reason
	}
	tell := func(namespace, name, message string) {
		gone = append(gone, event.TableResult{Name: name, Namespace: namespace, Status: statusWaiting, Mode: a.mode, Reason: event.ReasonNotFound, Message: message})
	}
	tried := map[event.LeftOut]bool{} // and told of by their own results
	for _, u := range unread {
		tried[event.LeftOut{Namespace: u.Namespace, Name: u.Name}] = true
	}
	for _, t := range a.lost {
		k := event.LeftOut{Namespace: t.Namespace, Name: t.Name}
		if tried[k] || !a.choice.Takes(t.Namespace, t.Name) {
			continue
		}
		message := "the source no longer shows this table: it was dropped or renamed, or may not be read"
		if reason, ok := reasons[k]; ok {
			message = "it is left out: " + strings.TrimSuffix(reason, ".")
		}
		tell(t.Namespace, t.Name, message+stays)
		tried[k] = true
	}
	for _, l := range left {
		k := event.LeftOut{Namespace: l.Namespace, Name: l.Name}
		if !tried[k] && len(gone) < maxTold && a.choice.Takes(l.Namespace, l.Name) {
			tell(l.Namespace, l.Name, "it is left out: "+l.Reason)
		}
	}
	return slices.Clip(gone)
}

// absentee is asked about a text of the options that means no table which is
// offered. One of tables is told in the result, beside the tables that land; what
// is excluded need not be there, nor what else is said of a table that is lost.
func (a *attempt) absentee(option, text string) bool {
	if text == "" { // see both
		return true
	}
	named := func(t event.Table) bool { return a.choice.Means(text, t.Namespace, t.Name) }
	told := func(r event.TableResult) bool { return a.choice.Means(text, r.Namespace, r.Name) }
	if slices.ContainsFunc(a.lost, named) || slices.ContainsFunc(a.gone, told) {
		return true
	}
	if option != "tables" && option != "exclude" || option == "exclude" && syncoptions.Wild(text) {
		return option == "exclude"
	}
	message := "the source has no such table, and nothing of one has landed"
	if option == "exclude" {
		message = "sync_options.exclude names it, and the source has no such table"
	}
	a.gone = append(a.gone, event.TableResult{Name: text, Status: statusWaiting, Mode: a.mode, Reason: event.ReasonNotFound, Message: message})
	return true
}

// noneOfThem is the failure of a sync that names tables of which none is there.
func (a *attempt) noneOfThem() error {
	if len(a.gone) == 0 {
		return outcome.Failf(event.ReasonNotFound, "the tables that are asked for are none of those that the source's own sync options take; list shows them, and a sync with always changes them")
	}
	told := make([]string, len(a.gone))
	for i, r := range a.gone {
		told[i] = resultName(r) + " (" + r.Message + ")"
	}
	return outcome.Failf(event.ReasonNotFound, "none of the tables of sync_options.tables is there: %s", syncoptions.SomeOf(told))
}
