package idtoken

// This file verifies signatures. It promises that the algorithm comes from a
// fixed list, the key from GitLab's published ones, and that a header which
// brings its own key or names an address is given no attention.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"envrole/executor/job"
	"envrole/roles/seal"
)

// algorithms are those that count. GitLab signs with RS256.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256}
}

// signedToken is a token that was taken apart, its signature not yet verified.
type signedToken struct {
	jws   *jose.JSONWebSignature
	keyID string
}

// parseSigned refuses every other form and algorithm. The library's errors are
// not repeated: they may quote the token.
func parseSigned(token seal.Secret) (signedToken, error) {
	jws, err := jose.ParseSignedCompact(token.Reveal(), algorithms())
	if err != nil {
		var alg *jose.ErrUnexpectedSignatureAlgorithm
		if errors.As(err, &alg) {
			return signedToken{}, refuse(helpForged, "the ID token is signed with the algorithm %s; RS256 and ES256 are accepted", job.Quote(string(alg.Got)))
		}
		return signedToken{}, refuse(helpForged, "the ID token is no signed token that is understood")
	}
	if len(jws.Signatures) != 1 || jws.Signatures[0].Header.KeyID == "" {
		return signedToken{}, refuse(helpForged, "the ID token does not say which key signed it")
	}
	return signedToken{jws: jws, keyID: jws.Signatures[0].Header.KeyID}, nil
}

// verified gives the claims as they were signed.
func (s signedToken) verified(key crypto.PublicKey) ([]byte, error) {
	payload, err := s.jws.Verify(key)
	if err != nil {
		return nil, refuse(helpForged, "the signature of the ID token is not one of GitLab's key %s", job.Quote(s.keyID))
	}
	return payload, nil
}

// minRSA is the shortest modulus in bits that counts (RFC 7518, section 3.3).
const minRSA = 2048

// usable says why a published key cannot verify tokens, nil if it can.
func usable(key jose.JSONWebKey) error {
	switch {
	case key.KeyID == "":
		return errors.New("a key without id")
	case key.Use != "" && key.Use != "sig":
		return errors.New("a key for something else")
	case !key.Valid():
		return errors.New("a broken key")
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA || key.Algorithm != "" && key.Algorithm != string(jose.RS256) {
			return fmt.Errorf("an RSA key of %d bits for %s", k.N.BitLen(), job.Quote(key.Algorithm))
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() || key.Algorithm != "" && key.Algorithm != string(jose.ES256) {
			return fmt.Errorf("a key on another curve or for %s", job.Quote(key.Algorithm))
		}
		return nil
	}
	return errors.New("no public key of a known kind")
}
