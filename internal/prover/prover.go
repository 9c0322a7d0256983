// Package prover makes the two proofs of a job's environment from the
// configuration: GitLab's API, and ID tokens. It is no part of package stage,
// because the stages that prove nothing should not carry an HTTP client.
package prover

import (
	"envrole/executor/proof"
	"envrole/executor/proof/idtoken"
	"envrole/internal/version"
	"envrole/roles/settings"
)

// API is the client of [gitlab].
func API(conf *settings.Settings) (*proof.Client, error) {
	return proof.New(proof.Options{
		URL: conf.GitLab.URL, CAFile: conf.GitLab.CAFile, Timeout: conf.GitLab.Timeout,
		UserAgent: "envrole/" + version.Number,
	})
}

// Tokens verifies ID tokens with keys that it fetches through gitlab.
func Tokens(conf *settings.Settings, gitlab idtoken.Fetcher) *idtoken.Verifier {
	return idtoken.New(idtoken.Options{
		Issuer: conf.GitLab.URL, Audience: conf.GitLab.Audience, Dir: conf.State.Dir,
		MaxAge: conf.GitLab.JWKSMaxAge, Stale: conf.GitLab.JWKSStale, Timeout: conf.GitLab.Timeout, GitLab: gitlab,
	})
}
