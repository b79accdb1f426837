package projections

import (
	"fmt"

	"headwater/projections/layout"
)

// Token is an API token.
type Token = layout.Token

// Token returns an API token by its id, even if it is revoked or has expired. It
// returns ErrNotFound if this node does not know it (yet).
func (s *Store) Token(id string) (t Token, err error) {
	db, done, err := s.using()
	if err != nil {
		return t, err
	}
	defer done()
	v, err := s.get(db, layout.Key(layout.KeyToken, id))
	if err != nil {
		return t, fmt.Errorf("token: %w", err)
	}
	if t, err = layout.DecodeToken(v); err != nil {
		return t, fmt.Errorf("token: %w: %w", ErrDamaged, err)
	}
	return t, nil
}

// Tokens calls use with the API tokens of an organization, newest first, until
// use returns false.
func (s *Store) Tokens(organization string, use func(Token) bool) (err error) {
	snapshot, done, err := s.snapshot()
	if err != nil {
		return err
	}
	defer done(&err)
	prefix := layout.Key(layout.KeyTokenOf, organization)
	it, err := s.scan(snapshot, prefix)
	if err != nil {
		return err
	}
	defer s.finish(it, &err)
	for ok := it.First(); ok; ok = it.Next() {
		if len(it.Key()) < len(prefix)+8 {
			return fmt.Errorf("%w: key of a token", ErrDamaged)
		}
		id, _, err := layout.GetText(it.Key()[len(prefix)+8:])
		if err != nil {
			return err
		}
		v, err := s.get(snapshot, layout.Key(layout.KeyToken, id))
		if err != nil {
			return fmt.Errorf("token: %w", err)
		}
		t, err := layout.DecodeToken(v)
		if err != nil {
			return fmt.Errorf("token: %w: %w", ErrDamaged, err)
		}
		if !use(t) {
			return nil
		}
	}
	return s.fault(it.Error())
}
