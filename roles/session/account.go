package session

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"envrole/roles/fault"
)

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
	if creds.AccountID != "" {
		return creds.AccountID, nil
	}
	const op = "find the runner's own AWS account"
	out, err := b.client(b.cfg.Region, creds).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		f := readFailure(ctx, err, creds.SecretAccessKey, creds.SessionToken)
		class, help := classify(f)
		return "", fault.New(class, op, "", f, help)
	}
	if aws.ToString(out.Account) == "" {
		return "", fault.New(fault.Passing, op, "", errors.New("STS's answer names none"), "")
	}
	return *out.Account, nil
}
