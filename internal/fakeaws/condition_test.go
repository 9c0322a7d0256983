package fakeaws

import "testing"

func TestConditionsAreJudgedAsByAWS(t *testing.T) {
	ctx := requestContext{
		"aws:userid": "AROAX:gl-1-abc", "aws:tokenissuetime": "2026-05-01T12:00:00Z", "aws:sourceidentity": "gl-1",
	}
	for _, c := range []struct {
		condition string
		denied    bool
	}{
		{`{"StringLike":{"aws:userid":"*:gl-1-abc"}}`, true},
		{`{"StringLike":{"AWS:UserId":["x","*:gl-1-abc"]}}`, true},
		{`{"StringLike":{"aws:userid":"*:gl-1-ab"}}`, false},
		{`{"StringLike":{"aws:userid":"*:gl-1-ab?"}}`, true},
		{`{"StringLike":{"aws:userid":"gl-1-abc"}}`, false},
		{`{"StringEquals":{"aws:userid":"*:gl-1-abc"}}`, false},
		{`{"StringEquals":{"aws:userid":"AROAX:gl-1-abc"}}`, true},
		{`{"StringNotLike":{"aws:userid":"*:gl-1-abc"}}`, false},
		{`{"StringNotLike":{"aws:userid":"*:gl-2"}}`, true},
		{`{"DateLessThan":{"aws:TokenIssueTime":"2026-05-01T12:00:01Z"}}`, true},
		{`{"DateLessThan":{"aws:TokenIssueTime":"2026-05-01T12:00:00Z"}}`, false},
		{`{"StringEquals":{"aws:SourceIdentity":"gl-1"}}`, true},
		{`{"StringEquals":{"aws:SourceIdentity":"gl-2"}}`, false},
		// Both must hold.
		{`{"StringEquals":{"aws:SourceIdentity":"gl-1"},"StringLike":{"aws:userid":"*:gl-2"}}`, false},
		// Not a key of ordinary requests: such a deny never works.
		{`{"StringEquals":{"sts:RoleSessionName":"gl-1-abc"}}`, false},
		// But an absent key passes an IfExists.
		{`{"StringEqualsIfExists":{"sts:RoleSessionName":"gl-1-abc"}}`, true},
		{`{"StringNotEquals":{"sts:RoleSessionName":"x"}}`, true},
		{`{"Null":{"aws:TokenIssueTime":"false"}}`, true},
		{`{}`, true},
	} {
		doc, err := parseDocument(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},` +
			`{"Effect":"Deny","Action":"*","Resource":"*","Condition":` + c.condition + `}]}`)
		if err != nil {
			t.Fatalf("%s: %v", c.condition, err)
		}
		if have := evaluate([]*document{doc}, ordinaryAction, ordinaryResource, ctx) == explicitDeny; have != c.denied {
			t.Errorf("%s: denied %v", c.condition, have)
		}
	}
}

func TestWildcardsMatchTheWholeText(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true},
		{"", "", true},
		{"", "a", false},
		{"a*c", "abbc", true},
		{"a*c", "abbcd", false},
		{"?", "ä", true},
		{"*a*a*", "bab", false},
		{"*a*a*", "baab", true},
		{"[a]", "a", false},
		{"***", "xyz", true},
	} {
		if wildcard(c.pattern, c.text) != c.want {
			t.Errorf("%q on %q", c.pattern, c.text)
		}
	}
}
