package layout

import "encoding/json"

// DecodeTarget reverses AppendTarget. It fails if b was not made by it.
func DecodeTarget(b []byte) (g Target, err error) { return g, json.Unmarshal(b, &g) }

// AppendTarget appends the document of a target, which is also its stored value.
func AppendTarget(b []byte, g *Target) []byte {
	o := objectIn(b)
	o.Text("source_id", g.SourceID)
	o.Text("name", g.Name)
	o.Text("status", g.Status)
	o.TextOrNull("sync_id", g.SyncID)
	o.truth("attached", g.Attached)
	o.TextOrNull("reason", string(g.Reason))
	o.TextOrNull("message", g.Message)
	if g.Result != nil {
		before := len(o.b)
		if o.result("result", g.Result) != nil { // events cannot hold a time without a JSON form
			o.b = o.b[:before]
		}
	}
	return o.End()
}

// operationDocument appends the document of an operation, without its targets.
func operationDocument(b []byte, o *Operation) []byte {
	w := objectIn(b)
	w.Text("operation_id", o.ID)
	w.Text("kind", o.Kind)
	w.Text("status", o.Status)
	w.Time("created_at", o.CreatedAt)
	w.Time("updated_at", o.UpdatedAt)
	w.TimeOrNull("finished_at", o.FinishedAt)
	w.TextOrNull("actor", o.Actor)
	w.textOrNone("trigger", o.Trigger)
	w.Number("targets_total", int64(o.Total))
	return w.End()
}

// EncodeOperation appends the state of an operation framed before its document,
// without targets. It fails for a time that JSON cannot represent.
func EncodeOperation(b []byte, o *Operation) ([]byte, error) {
	begin := len(b)
	b, err := appendOperation(append(b, make([]byte, headSize)...), o)
	if err != nil {
		return b, err
	}
	return operationDocument(headFrom(b, begin), o), nil
}

// DecodeOperation reverses EncodeOperation. It fails if v was not made by it.
func DecodeOperation(v []byte) (o Operation, err error) {
	state, _, err := Unframe(v)
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(state, &o)
}
