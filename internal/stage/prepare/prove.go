package prepare

import (
	"context"
	"errors"
	"slices"
	"time"

	"envrole/executor/job"
	"envrole/executor/proof"
	"envrole/executor/proof/idtoken"
	"envrole/internal/prover"
	"envrole/internal/stage"
	"envrole/roles"
	"envrole/roles/settings"
)

// proofs is what became of proving the environment, for the logs.
type proofs struct {
	took  time.Duration
	token *idtoken.Proof // nil without a verified ID token
	// missing is why there is no token, where a rule that could match wants one.
	missing error
}

// prove turns the claimed environment into a fact, by the ways that the
// configuration and the rules that could match ask for: [gitlab] proof for
// every job, more where a rule wants more. A token that is missing counts only
// once such a rule would decide; one that is there and not good refuses the job.
func (p *preparation) prove(ctx context.Context, claims job.Claims) error {
	start := time.Now()
	defer func() { p.proofs.took = time.Since(start) }()
	ctx, cancel := context.WithTimeout(ctx, p.conf.GitLab.Timeout)
	defer cancel()
	demand := roles.Demanded(p.conf.Rules, p.certain(), claims.Names)
	if p.conf.GitLab.Proof == settings.ProofUnverified {
		p.facts = p.payload.Unverified(p.facts)
		stage.Say(p.call.Stdout, "the environment is taken from the job's own variables (proof = \"unverified\"): anyone who can start a job here can get any role")
	}
	client, err := prover.API(p.conf)
	if err != nil {
		return err
	}
	if p.conf.GitLab.Proof == settings.ProofAPI || demand.API {
		proven, err := client.Prove(ctx, proof.SubjectOf(p.payload, claims))
		if err != nil {
			return err
		}
		p.facts = proof.Apply(p.facts, proven)
	}
	if demand.IDToken {
		return p.proveByToken(ctx, client, claims)
	}
	return nil
}

func (p *preparation) proveByToken(ctx context.Context, client idtoken.Fetcher, claims job.Claims) error {
	verified, err := prover.Tokens(p.conf, client).
		Verify(ctx, idtoken.SubjectOf(p.payload, p.facts, claims), p.payload.Tokens, p.payload.TokensLeftOut)
	if errors.Is(err, idtoken.ErrMissing) && p.facts.Environment.Proven() {
		p.proofs.missing = err
		return nil
	}
	if err != nil {
		return err
	}
	for _, w := range verified.Warnings {
		stage.Say(p.call.Stdout, "warning: %s", w)
	}
	p.proofs.token = &verified
	p.facts, err = idtoken.Apply(p.facts, verified)
	return err
}

// certain is what the payload settles, for asking which rules could match. A
// payload of an old runner does not say whether the ref is protected, but a
// token does: where one is there, the ref may be.
func (p *preparation) certain() roles.Facts {
	f := p.facts
	if p.payload.Git.Protected == nil && p.wantsTokens() && prover.Tokens(p.conf, nil).HasToken(p.payload.Tokens) {
		f.RefProtected = true
	}
	return f
}

func (p *preparation) wantsTokens() bool {
	return slices.ContainsFunc(p.conf.Rules, func(r roles.Rule) bool { return r.Proof >= roles.IDToken })
}
