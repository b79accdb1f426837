package layout

import "errors"

// Name says which source has a name.
type Name struct {
	ID          string // "" after the source was removed
	Incarnation uint64 // sequence of the previous SourceRemoved, 0 if none
	Shared      bool   // another source may have the name too: a restore and a connect were concurrent
}

// Scope summarizes the sources of one owner.
type Scope struct {
	Version uint64 // sequence of the last event that changed one of their documents
	Count   uint64 // number of sources that are not removed
}

// DecodeName reverses EncodeName. It fails if b was not made by it.
func DecodeName(b []byte) (Name, error) {
	if len(b) < 9 {
		return Name{}, errors.New("short name entry")
	}
	return Name{ID: string(b[9:]), Incarnation: GetSequence(b), Shared: b[8] != 0}, nil
}

// EncodeName appends the value of a KeyName. Its error is always nil.
func EncodeName(b []byte, n *Name) ([]byte, error) {
	shared := byte(0)
	if n.Shared {
		shared = 1
	}
	return append(append(PutSequence(b, n.Incarnation), shared), n.ID...), nil
}

// DecodeScope reverses EncodeScope. It fails if b was not made by it.
func DecodeScope(b []byte) (Scope, error) {
	if len(b) != 16 {
		return Scope{}, errors.New("scope entry of another size")
	}
	return Scope{Version: GetSequence(b), Count: GetSequence(b[8:])}, nil
}

// EncodeScope appends the value of a KeyScope. Its error is always nil.
func EncodeScope(b []byte, s *Scope) ([]byte, error) {
	return PutSequence(PutSequence(b, s.Version), s.Count), nil
}
