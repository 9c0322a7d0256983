package idtoken

import (
	"testing"

	"envrole/roles"
)

// With proof = "unverified" in [gitlab] the author names the tier. A token does
// not make it truer.
func TestATokenVouchesForNoUnverifiedTier(t *testing.T) {
	f := payloadFacts()
	f.Environment = roles.Fact{Value: "production", From: roles.Unverified}
	f.Tier = roles.Fact{Value: "production", From: roles.Unverified}
	f, err := Apply(f, proven(t, map[string]any{"deployment_tier": "development"}, subject()))
	if err != nil {
		t.Fatal(err)
	}
	if f.Tier.Proven() || f.Environment.From != roles.IDToken {
		t.Errorf("tier %+v, environment %+v", f.Tier, f.Environment)
	}
	f.Tier = roles.Fact{Value: "staging", From: roles.GitLabAPI}
	if f, err = Apply(f, proven(t, nil, subject())); err != nil || f.Tier.Value != "staging" || f.Tier.From != roles.GitLabAPI {
		t.Errorf("GitLab's own tier became %+v, %v", f.Tier, err)
	}
}

// A merge request's pipeline is one whatever the payload looks like.
func TestATokenOfAMergeRequestSaysSo(t *testing.T) {
	f, err := Apply(payloadFacts(), proven(t, map[string]any{"pipeline_source": "merge_request_event"}, subject()))
	if err != nil || !f.MergeRequest {
		t.Errorf("merge_request=%t, %v", f.MergeRequest, err)
	}
	f, err = Apply(payloadFacts(), proven(t, nil, subject()))
	if err != nil || f.MergeRequest {
		t.Errorf("a push: merge_request=%t, %v", f.MergeRequest, err)
	}
}
