package session

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"envrole/roles/fault"
)

const opOwn = "get the runner's own AWS credentials"

// Ready says whether the runner has credentials of its own, fetching them if
// need be; Lend then uses the same. STS is not asked for any session. It ends
// with ctx, and after two minutes at the latest.
func (b *Base) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.lim.lend)
	defer cancel()
	_, err := b.own(ctx)
	return err
}

// own gives the runner's own credentials. What the SDK says of a failure is not
// repeated: a credential process's output may be part of it.
func (b *Base) own(ctx context.Context) (aws.Credentials, error) {
	if b.cfg.Credentials == nil {
		return aws.Credentials{}, noCredentials(fault.Permanent, "none are configured")
	}
	creds, err := b.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, ownFault(ctx, err)
	}
	if !creds.HasKeys() {
		return aws.Credentials{}, noCredentials(fault.Permanent, "they are empty")
	}
	return creds, nil
}

// renewed drops what the SDK has cached and gets the credentials again.
func (b *Base) renewed(ctx context.Context) (aws.Credentials, error) {
	if cache, ok := b.cfg.Credentials.(*aws.CredentialsCache); ok {
		cache.Invalidate()
	}
	return b.own(ctx)
}

// roleSession says whether credentials are themselves a session, for which AWS
// gives at most an hour. A session token tells, whatever the source: an assumed
// role, a web identity, an instance profile, a container role. (AWS excepts
// instance profiles, but not where their role was chained; an hour always
// works.)
func roleSession(c aws.Credentials) bool {
	return c.SessionToken != "" || strings.HasPrefix(c.AccessKeyID, "ASIA")
}

// ownFault classifies a failure to get the runner's own credentials. Without
// any source the SDK asks the metadata service last, so "there are none" and
// "the metadata service is slow today" look alike: it is a passing failure,
// unless the metadata service is switched off.
func ownFault(ctx context.Context, err error) error {
	f := readFailure(ctx, err)
	var api smithy.APIError
	var op *smithy.OperationError
	switch {
	case ctx.Err() != nil:
		f.Message = "they did not come before the time was over"
		return fault.New(fault.Passing, opOwn, "", f, ownHelp)
	case errors.As(err, &api) && f.Code != "":
		// A profile's role_arn or a web identity: STS itself said no.
		class, _ := classify(f)
		return fault.New(class, opOwn, "", f, ownHelp)
	case strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") && errors.As(err, &op) && op.ServiceID == "ec2imds":
		return noCredentials(fault.Permanent, "there are none, and AWS_EC2_METADATA_DISABLED=true rules out the instance's role")
	}
	return noCredentials(fault.Passing, "no source gave any")
}

func noCredentials(class fault.Class, why string) error {
	return fault.New(class, opOwn, "", errors.New(why), ownHelp)
}

const ownHelp = "The runner needs AWS credentials of its own to assume roles: an instance or container role, a profile (AWS_PROFILE) " +
	"or keys in the environment of the runner's service. `aws sts get-caller-identity`, run as the runner's user, shows what the SDK finds."
