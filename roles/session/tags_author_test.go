package session

import (
	"slices"
	"testing"

	"envrole/roles"
)

// An ID token repeats the author's word on the tier: no tag may carry it, since
// policies rest on tags.
func TestTheAuthorsWordIsNoTag(t *testing.T) {
	f := roles.Facts{
		JobID: 1, ProjectID: 2,
		Environment: roles.Fact{Value: "production", From: roles.IDToken},
		Tier:        roles.Fact{Value: "production", From: roles.Author},
		UserLogin:   roles.Fact{Value: "dana", From: roles.IDToken},
	}
	tags, err := Tags(f)
	if err != nil {
		t.Fatal(err)
	}
	has := func(key string) bool { return slices.ContainsFunc(tags, func(t Tag) bool { return t.Key == key }) }
	if has(TagTier) || !has(TagUser) || !has(TagEnvironment) {
		t.Errorf("%+v", tags)
	}
	f.Tier.From = roles.GitLabAPI
	if tags, err = Tags(f); err != nil || !has(TagTier) {
		t.Errorf("%+v %v", tags, err)
	}
}
