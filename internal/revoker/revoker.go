// Package revoker makes the revoker of a configuration: it joins the ledger, the
// runner's own AWS identity and IAM. Nothing of AWS is loaded before a session
// really is to be revoked.
package revoker

import (
	"context"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"

	"envrole/roles"
	"envrole/roles/lease"
	"envrole/roles/revoke"
	"envrole/roles/revoke/iamclient"
	"envrole/roles/session"
	"envrole/roles/settings"
)

// sessionName is the revoker's role session name, as CloudTrail shows it.
const sessionName = "envrole-revoker"

// New makes a revoker that touches only roles which allowed says yes to.
func New(conf *settings.Settings, ledger *lease.Ledger, allowed func(arn string) bool) *revoke.Revoker {
	c := &connector{conf: conf}
	return revoke.New(ledger, c.connect, revoke.Options{AllowedRole: allowed, Timeout: conf.Revocation.Timeout})
}

// Configured says yes to the roles of every account that a rule lends from. The
// account is what counts: a rule may be changed or removed while its sessions
// live, and they must still be revocable; but a ledger that was tampered with
// must not lead the revoker into an account that the configuration never named.
func Configured(conf *settings.Settings) func(arn string) bool {
	accounts := map[string]bool{}
	for _, r := range conf.Rules {
		if partition, account, _, ok := revoke.ParseRoleARN(literal(r.Grant.RoleARN)); ok {
			accounts[partition+":"+account] = true
		}
	}
	return func(arn string) bool {
		partition, account, _, ok := revoke.ParseRoleARN(arn)
		return ok && accounts[partition+":"+account]
	}
}

// literal puts a letter in place of each placeholder, so that the text parses:
// placeholders stand in a role's name and never in its account.
func literal(arn string) string {
	names, err := roles.Placeholders(arn)
	if err != nil {
		return ""
	}
	for _, name := range names {
		arn = strings.ReplaceAll(arn, "{"+name+"}", "x")
	}
	return arn
}

// connector reaches IAM, and loads the runner's own AWS configuration at the
// first need.
type connector struct {
	conf *settings.Settings

	once    sync.Once
	clients *iamclient.Clients
	err     error
}

func (c *connector) connect(ctx context.Context, roleARN string) (revoke.IAM, error) {
	c.once.Do(func() { c.clients, c.err = c.load(ctx) })
	if c.err != nil {
		return nil, c.err
	}
	return c.clients.Connect(ctx, roleARN)
}

func (c *connector) load(ctx context.Context) (*iamclient.Clients, error) {
	base, err := session.LoadBase(ctx, c.conf.AWS.Region)
	if err != nil {
		return nil, err
	}
	conf := iamclient.Config{AWS: base.Config(), Account: base.Account}
	if c.conf.Revocation.Identity == settings.IdentityRole {
		conf.RevokerARN = c.conf.Revocation.RoleARN
		conf.Credentials = func(ctx context.Context, revokerARN string) (aws.CredentialsProvider, error) {
			as, err := base.As(ctx, revokerARN, c.conf.Revocation.ExternalID, sessionName)
			return as.Credentials, err
		}
	}
	return iamclient.New(conf), nil
}
