package fakeaws

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"time"
)

const (
	querySkew = 5 * time.Minute  // STS and IAM
	s3Skew    = 15 * time.Minute // S3
)

// authenticate finds out who signed the request. The principal is given back
// with an error too where the access key names one, for the journal only.
func (s *Server) authenticate(c *call) (*principal, *apiError) {
	header := c.request.Header.Get("Authorization")
	if header == "" {
		return nil, c.refusal(authMissing)
	}
	a, refused := parseAuthorization(header)
	if refused != nil {
		return nil, refused
	}
	c.region = a.region
	p := s.principalOf(a.accessKeyID)
	if p == nil {
		return nil, c.refusal(authUnknownKey)
	}
	if a.service != c.service {
		return p, fail(http.StatusForbidden, "SignatureDoesNotMatch",
			"Credential should be scoped to correct service: '"+c.service+"'. ")
	}
	if a.region == "" || len(s.opts.Regions) > 0 && !slices.Contains(s.opts.Regions, a.region) {
		return p, fail(http.StatusForbidden, "SignatureDoesNotMatch", "Credential should be scoped to a valid region. ")
	}
	stamp := c.request.Header.Get("X-Amz-Date")
	signed, err := time.Parse(amzTime, stamp)
	if err != nil || signed.Format("20060102") != a.date || !a.coversNeeded(c.request.Header) {
		return p, c.refusal(authBadSignature)
	}
	if e := c.checkSkew(signed); e != nil {
		return p, e
	}
	hash, ok := c.payloadHash()
	if !ok || !hmac.Equal(a.signature, a.signatureFor(p.secret, c.request, stamp, hash)) {
		return p, c.refusal(authBadSignature)
	}
	token := c.request.Header.Get(headerToken)
	if subtle.ConstantTimeCompare([]byte(token), []byte(p.token)) != 1 {
		return p, c.refusal(authBadToken)
	}
	if p.role != nil && !c.now.Before(p.expires) {
		return p, c.refusal(authExpired)
	}
	return p, nil
}

func (c *call) checkSkew(signed time.Time) *apiError {
	if c.service == "s3" {
		if skewMessage(signed, c.now, s3Skew) != "" {
			return fail(http.StatusForbidden, "RequestTimeTooSkewed",
				"The difference between the request time and the current time is too large.")
		}
		return nil
	}
	if m := skewMessage(signed, c.now, querySkew); m != "" {
		return fail(http.StatusForbidden, "SignatureDoesNotMatch", m)
	}
	return nil
}

// payloadHash is the hash the signature is over; not ok if the body is another.
func (c *call) payloadHash() (string, bool) {
	sum := sha256.Sum256(c.body)
	actual := hex.EncodeToString(sum[:])
	sent := c.request.Header.Get(headerPayload)
	if sent == unsigned && c.service == "s3" {
		return sent, true
	}
	return actual, sent == "" || sent == actual
}

type authFailure uint8

const (
	authMissing authFailure = iota
	authUnknownKey
	authBadSignature
	authBadToken
	authExpired
)

// refusal gives the words of the service that was asked: S3 has its own.
func (c *call) refusal(f authFailure) *apiError {
	s3 := c.service == "s3"
	switch f {
	case authMissing:
		if s3 {
			return denied("Access Denied")
		}
		return fail(http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token")
	case authUnknownKey:
		if s3 {
			return fail(http.StatusForbidden, "InvalidAccessKeyId",
				"The AWS Access Key Id you provided does not exist in our records.")
		}
	case authBadSignature:
		m := "The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
		return fail(http.StatusForbidden, "SignatureDoesNotMatch", m)
	case authBadToken:
		if s3 {
			return fail(http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid.")
		}
	case authExpired:
		if s3 {
			return fail(http.StatusBadRequest, "ExpiredToken", "The provided token has expired.")
		}
		return fail(http.StatusForbidden, "ExpiredToken", "The security token included in the request is expired")
	}
	return fail(http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
}
