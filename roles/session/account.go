package session

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"envrole/roles/fault"
)

//nolint:gochecknoglobals // a table that is never written
var accountFormat = lazily(`^\d{12}$`)

// Account is the 12-digit account of the runner's own identity. STS is asked
// (sts:GetCallerIdentity, which needs no permission) unless the credentials
// say it themselves.
func (b *Base) Account(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, b.lim.lend)
	defer cancel()
	creds, err := b.own(ctx)
	if err != nil {
		return "", err
	}
	if accountFormat().MatchString(creds.AccountID) {
		return creds.AccountID, nil
	}
	const op = "find the runner's own AWS account"
	out, err := b.client(b.cfg.Region, creds, new(atomic.Bool)).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		f := readFailure(ctx, err, creds.SecretAccessKey, creds.SessionToken)
		class, help := classify(f)
		return "", fault.New(class, op, "", f, help)
	}
	account := aws.ToString(out.Account)
	if !accountFormat().MatchString(account) {
		return "", fault.New(fault.Passing, op, "", errors.New("STS's answer names none"), answerHelp)
	}
	return account, nil
}
