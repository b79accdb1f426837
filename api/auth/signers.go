package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// minRSA is the minimum size of an RSA key in bits (RFC 7518, section 3.3).
const minRSA = 2048

var errUnfitKey = errors.New("the key is not one for signatures, or too short")

// signers finds the keys of a JWKS that may have signed a token.
type signers struct {
	ctx  context.Context
	keys jwkset.Storage
}

// find is a jwt.Keyfunc. It returns all suitable keys if the token names none.
func (s signers) find(token *jwt.Token) (any, error) {
	alg := token.Method.Alg()
	named, ok := token.Header[jwkset.HeaderKID]
	if ok {
		kid, _ := named.(string)
		found, err := s.keys.KeyRead(s.ctx, kid)
		if err != nil {
			return nil, err
		}
		return fit(found, alg)
	}
	all, err := s.keys.KeyReadAll(s.ctx)
	if err != nil {
		return nil, err
	}
	var set jwt.VerificationKeySet
	for _, found := range all {
		if key, err := fit(found, alg); err == nil {
			set.Keys = append(set.Keys, key)
		}
	}
	return set, nil
}

// fit returns the key if it is meant for verifying signatures of that algorithm,
// else an error.
func fit(found jwkset.JWK, alg string) (jwt.VerificationKey, error) {
	said := found.Marshal()
	if said.USE != "" && said.USE != jwkset.UseSig || said.ALG != "" && said.ALG.String() != alg ||
		len(said.KEYOPS) > 0 && !slices.Contains(said.KEYOPS, jwkset.KeyOpsVerify) {
		return nil, errUnfitKey
	}
	key := found.Key()
	if private, ok := key.(interface{ Public() crypto.PublicKey }); ok {
		key = private.Public()
	}
	switch public := key.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= minRSA {
			return public, nil
		}
	case *ecdsa.PublicKey:
		return public, nil
	case ed25519.PublicKey:
		return public, nil
	}
	return nil, errUnfitKey
}
