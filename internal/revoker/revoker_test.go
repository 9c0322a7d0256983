package revoker

import (
	"testing"

	"envrole/roles"
	"envrole/roles/settings"
)

func TestOnlyAccountsOfTheConfigurationAreTouched(t *testing.T) {
	conf := &settings.Settings{Rules: []roles.Rule{
		{Grant: roles.Grant{RoleARN: "arn:aws:iam::111122223333:role/deploy-{project_id}"}},
		{Grant: roles.Grant{RoleARN: "arn:aws-cn:iam::444455556666:role/path/ops"}},
	}}
	allowed := Configured(conf)
	for arn, want := range map[string]bool{
		"arn:aws:iam::111122223333:role/deploy-42":      true,
		"arn:aws:iam::111122223333:role/of-an-old-rule": true, // its sessions must stay revocable
		"arn:aws-cn:iam::444455556666:role/path/ops":    true,
		"arn:aws:iam::444455556666:role/path/ops":       false, // another partition
		"arn:aws:iam::999999999999:role/deploy-42":      false,
		"arn:aws:iam::111122223333:user/deploy":         false,
		"*":                                             false,
		"":                                              false,
	} {
		if got := allowed(arn); got != want {
			t.Errorf("%q: %v, want %v", arn, got, want)
		}
	}
}
