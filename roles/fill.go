package roles

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// grantText is one text of a grant that may hold placeholders.
type grantText struct {
	key   string // configuration key
	text  string
	valid func(string) error // for the filled text
	set   func(string)
}

// texts lists the texts of a grant that may hold placeholders, in the order of
// the configuration's documentation.
func (g *Grant) texts() []grantText {
	var all []grantText
	add := func(key string, text *string, valid func(string) error) {
		all = append(all, grantText{key, *text, valid, func(s string) { *text = s }})
	}
	add("role_arn", &g.RoleARN, ValidateRoleARN)
	add("external_id", &g.ExternalID, validateExternalID)
	add("source_identity", &g.SourceIdentity, validateSourceIdentity)
	add("policy", &g.Policy, validatePolicy)
	for i := range g.PolicyARNs {
		add("policy_arns", &g.PolicyARNs[i], validatePolicyARN)
	}
	for _, k := range slices.Sorted(maps.Keys(g.Tags)) {
		all = append(all, grantText{"tags", g.Tags[k], validateTagValue, func(s string) { g.Tags[k] = s }})
	}
	for i := range g.Chain {
		add("chain", &g.Chain[i], ValidateRoleARN)
	}
	return all
}

// filled is a copy of the grant with every placeholder filled from proven facts
// and every text checked again: what a value makes of a text must be as valid
// as what an administrator may write. The copy shares no memory with the rule.
func (g *Grant) filled(f *Facts) (Grant, error) {
	out := *g
	out.PolicyARNs = slices.Clone(g.PolicyARNs)
	out.TransitiveTags = slices.Clone(g.TransitiveTags)
	out.Chain = slices.Clone(g.Chain)
	out.Tags = maps.Clone(g.Tags)
	for _, t := range out.texts() {
		v, err := t.filled(f.placeholder)
		if err != nil {
			return Grant{}, fmt.Errorf("%s: %w", t.key, err)
		}
		t.set(v)
	}
	out.Policy = compacted(out.Policy)
	return out, nil
}

// filled is the text with its placeholders filled, if that makes a valid one.
func (t grantText) filled(value func(string) (string, error)) (string, error) {
	v, err := replaced(t.text, value)
	if err != nil {
		return "", err
	}
	switch {
	case v == t.text:
	case t.key == "policy" && !json.Valid([]byte(t.text)):
		// Only inside a JSON string is a value sure to stay a value.
		return "", errors.New("a placeholder stands outside of a JSON string, or the policy is no JSON")
	case t.key == "source_identity" && v == SourceIdentitySession:
		// A user may be named like the keyword.
		return "", fmt.Errorf("the value came out as the keyword %q", SourceIdentitySession)
	}
	if err := t.valid(v); err != nil {
		return "", err
	}
	return v, nil
}
