package admin

import (
	"context"
	"fmt"
	"slices"

	"envrole/executor/job"
	"envrole/executor/proof/idtoken"
	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/settings"
)

// withToken adds what the payload's ID token says, if a rule wants one. Nothing
// is fetched: the signature is checked with the keys that this host has cached.
func withToken(ctx context.Context, conf *settings.Settings, payload *job.Payload, facts roles.Facts, claims job.Claims) (roles.Facts, string) {
	if !slices.ContainsFunc(conf.Rules, func(r roles.Rule) bool { return r.Proof >= roles.IDToken }) {
		return facts, ""
	}
	verifier := idtoken.New(idtoken.Options{Issuer: conf.GitLab.URL, Audience: conf.GitLab.Audience, Dir: conf.State.Dir, Offline: true})
	verified, err := verifier.Verify(ctx, idtoken.SubjectOf(payload, facts, claims), payload.Tokens, payload.TokensLeftOut)
	if err == nil {
		if facts, err = idtoken.Apply(facts, verified); err == nil {
			return facts, fmt.Sprintf("The ID token is signed by GitLab's key %q, as this host has it cached. Whether it is valid just now was not looked at.", verified.KeyID)
		}
	}
	return facts, fmt.Sprintf("%v\n%s", err, fault.HelpOf(err))
}

// ifGitLabConfirms gives the rules as they decide once GitLab's API has
// confirmed the claimed environment. What wants an ID token still does.
func ifGitLabConfirms(rules []roles.Rule) []roles.Rule {
	out := slices.Clone(rules)
	for i := range out {
		if out[i].Proof < roles.IDToken {
			out[i].Proof = roles.Absent
		}
	}
	return out
}

// provenance is how the described job's environment is proven.
func (q question) provenance(conf *settings.Settings) (roles.Provenance, error) {
	switch q.proof {
	case settings.ProofAPI, settings.ProofUnverified, settings.ProofIDToken:
		return settings.ProofOf(q.proof), nil
	case "":
	default:
		return roles.Absent, fmt.Errorf("%w: --proof is unverified, api or id_token", errUsage)
	}
	most := settings.ProofOf(conf.GitLab.Proof)
	for i := range conf.Rules {
		most = max(most, conf.Rules[i].Proof)
	}
	return most, nil
}
