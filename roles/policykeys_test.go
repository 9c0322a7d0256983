package roles

import "testing"

// Of two equal keys one would not count, and which one is AWS's choice.
func TestAPolicyWithAKeyTwiceIsRefused(t *testing.T) {
	for policy, ok := range map[string]bool{
		`{"Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}`:                             true,
		`{"Statement":[{"Effect":"Deny"},{"Effect":"Allow"}],"Version":"2012-10-17"}`:                      true,
		`{"Statement":[],"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`:                    false,
		`{"Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::a","Resource":"*"}]}`: false,
		`{"Statement":[{"Effect":"Allow","Condition":{"StringLike":{"a":"b","\u0061":"*"}}}]}`:             false,
		`{"Statement":[{"Effect":"Allow","Condition":{"StringLike":{"a":"b"},"StringEquals":{"a":"b"}}}]}`: true,
	} {
		if err := validatePolicy(policy); (err == nil) != ok {
			t.Errorf("%s: %v", policy, err)
		}
	}
}
