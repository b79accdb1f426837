package layout

import "errors"

// Name says who has a name.
type Name struct {
	ID          string // empty after the source was removed
	Incarnation uint64 // sequence of the SourceRemoved before, 0 if none
	Shared      bool   // another source may have it, too: a restore and a connect came at once
}

// Scope sums up the sources of one owner.
type Scope struct {
	Version uint64 // sequence of the last event that changed a document of it
	Count   uint64 // sources that are not removed
}

// DecodeName reverses EncodeName; an error says that b is none of its.
func DecodeName(b []byte) (Name, error) {
	if len(b) < 9 {
		return Name{}, errors.New("short name entry")
	}
	return Name{ID: string(b[9:]), Incarnation: GetSequence(b), Shared: b[8] != 0}, nil
}

// EncodeName appends what lies under a KeyName. It never fails.
func EncodeName(b []byte, n *Name) ([]byte, error) {
	shared := byte(0)
	if n.Shared {
		shared = 1
	}
	return append(append(PutSequence(b, n.Incarnation), shared), n.ID...), nil
}

// DecodeScope reverses EncodeScope; an error says that b is none of its.
func DecodeScope(b []byte) (Scope, error) {
	if len(b) != 16 {
		return Scope{}, errors.New("scope entry of another size")
	}
	return Scope{Version: GetSequence(b), Count: GetSequence(b[8:])}, nil
}

// EncodeScope appends what lies under a KeyScope. It never fails.
func EncodeScope(b []byte, s *Scope) ([]byte, error) {
	return PutSequence(PutSequence(b, s.Version), s.Count), nil
}
