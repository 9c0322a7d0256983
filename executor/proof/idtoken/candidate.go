package idtoken

// This file finds the tokens that claim to be EnvRole's. It believes nothing:
// what it reads is used to leave tokens out, never to let one in.

import (
	"encoding/base64"
	"slices"
	"strings"

	"envrole/executor/job"
	"envrole/executor/job/strictjson"
	"envrole/roles/seal"
)

// candidate is a token whose own, unverified words are that GitLab issued it
// for EnvRole.
type candidate struct {
	token  seal.Secret
	jobID  int64
	others bool // it has further audiences
}

// candidates sorts tokens: those to look at, and a word on each of the others.
func (v *Verifier) candidates(tokens []seal.Secret) (found []candidate, others []string) {
	for _, t := range tokens {
		claims, err := unverified(t)
		if err != nil {
			others = append(others, "one that cannot be read ("+err.Error()+")")
			continue
		}
		issuer, _ := claims["iss"].Text()
		audience, _ := audienceOf(claims["aud"])
		if issuer != v.opts.Issuer || !slices.Contains(audience, v.opts.Audience) {
			others = append(others, "one of "+job.Quote(issuer)+" for "+job.Quote(strings.Join(audience, ", ")))
			continue
		}
		id, _ := idOf(claims["job_id"])
		found = append(found, candidate{token: t, jobID: id, others: len(audience) > 1})
	}
	return found, others
}

// unverified gives a token's claims as they stand there.
func unverified(token seal.Secret) (map[string]strictjson.Value, error) {
	_, rest, _ := strings.Cut(token.Reveal(), ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return nil, strictjson.ErrSyntax
	}
	return strictjson.Value(raw).Object()
}
