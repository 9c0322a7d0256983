package job

// This file believes the claim, for proof = "unverified": demos and runners of
// a single team that is trusted with every role.

import "envrole/roles"

// Unverified gives f with the environment, slug and tier that the variables
// claim, each marked as unverified, and the user whom they name as the author's
// word. Call it only after Lint passed.
func (p *Payload) Unverified(f roles.Facts) roles.Facts {
	c := p.Claims()
	f.Environment = unverified(c.Name())
	f.EnvironmentSlug = unverified(c.Slug())
	if len(c.Tiers) == 1 {
		f.Tier = unverified(c.Tiers[0])
	}
	f.UserLogin = p.authorsWord(loginVariable)
	return f
}

func unverified(text string) roles.Fact {
	if text == "" {
		return roles.Fact{}
	}
	return roles.Fact{Value: text, From: roles.Unverified}
}
