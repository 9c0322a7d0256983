package roles

import (
	"fmt"
	"maps"
	"slices"
)

// filled is a copy of the grant with every placeholder filled from proven facts
// and every text that held one checked again: what a value makes of a text must
// be as valid as what an administrator may write. Nothing in the copy shares
// memory with the rule.
func (g *Grant) filled(f *Facts) (Grant, error) {
	return g.with(f.placeholder)
}

func (g *Grant) with(value func(string) (string, error)) (Grant, error) {
	out := *g
	out.PolicyARNs = slices.Clone(g.PolicyARNs)
	out.TransitiveTags = slices.Clone(g.TransitiveTags)
	out.Chain = slices.Clone(g.Chain)
	out.Tags = maps.Clone(g.Tags)

	fill := func(key string, text *string, valid func(string) error) error {
		v, err := replaced(*text, value)
		if err == nil {
			err = valid(v)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		*text = v
		return nil
	}
	if err := fill("role_arn", &out.RoleARN, ValidateRoleARN); err != nil {
		return Grant{}, err
	}
	if err := fill("external_id", &out.ExternalID, validateExternalID); err != nil {
		return Grant{}, err
	}
	keyword := out.SourceIdentity == SourceIdentitySession
	if err := fill("source_identity", &out.SourceIdentity, validateSourceIdentity); err != nil {
		return Grant{}, err
	}
	if !keyword && out.SourceIdentity == SourceIdentitySession {
		return Grant{}, fmt.Errorf("source_identity: the value came out as the keyword %q", SourceIdentitySession)
	}
	if err := fill("policy", &out.Policy, validatePolicy); err != nil {
		return Grant{}, err
	}
	out.Policy = compacted(out.Policy)
	for i := range out.PolicyARNs {
		if err := fill("policy_arns", &out.PolicyARNs[i], validatePolicyARN); err != nil {
			return Grant{}, err
		}
	}
	for i := range out.Chain {
		if err := fill("chain", &out.Chain[i], ValidateRoleARN); err != nil {
			return Grant{}, err
		}
	}
	for _, k := range slices.Sorted(maps.Keys(out.Tags)) {
		v := out.Tags[k]
		if err := fill("tags."+k, &v, validateTagValue); err != nil {
			return Grant{}, err
		}
		out.Tags[k] = v
	}
	return out, nil
}
