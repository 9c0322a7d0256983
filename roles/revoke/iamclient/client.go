// Package iamclient is the real IAM behind roles/revoke.
//
// What it guarantees: a role is written to only with credentials of the role's
// own account, since IAM knows roles by name alone and another account may have
// one of the same name; errors carry a class and never the SDK's own text, which
// can repeat a signed request.
package iamclient

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"envrole/roles/fault"
	"envrole/roles/revoke"
)

// Config says with whose credentials IAM is asked.
type Config struct {
	// AWS is the runner's own configuration: HTTP client, retries, endpoints
	// (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_IAM) and credentials.
	AWS aws.Config
	// RevokerARN is the role that is assumed, with the placeholders {partition}
	// and {account} of the lent role; "" uses the runner's own identity.
	RevokerARN string
	// Credentials gives the credentials of the revoker role. Needed with RevokerARN.
	Credentials func(ctx context.Context, revokerARN string) (aws.CredentialsProvider, error)
	// Account gives the account of the runner's own identity. Needed without
	// RevokerARN.
	Account func(ctx context.Context) (string, error)
}

// Clients makes and keeps one IAM client for each partition and revoker.
type Clients struct {
	c Config

	mu   sync.Mutex
	made map[string]*iam.Client
}

// New makes no call yet.
func New(c Config) *Clients { return &Clients{c: c, made: map[string]*iam.Client{}} }

// Connect is a revoke.Connect: the client that may write the policies of the
// role, which must be in the account of the credentials (fault.Permanent if not).
func (cs *Clients) Connect(ctx context.Context, roleARN string) (revoke.IAM, error) {
	const op = "reach IAM for role"
	partition, account, _, ok := revoke.ParseRoleARN(roleARN)
	if !ok {
		return nil, fault.New(fault.Permanent, op, "", errors.New("not the ARN of a role"), "")
	}
	revoker := ""
	if cs.c.RevokerARN != "" {
		revoker = strings.NewReplacer("{partition}", partition, "{account}", account).Replace(cs.c.RevokerARN)
		p, a, _, ok := revoke.ParseRoleARN(revoker)
		if !ok || p != partition || a != account {
			return nil, fault.New(fault.Permanent, op, roleARN, errors.New("the revoker "+revoker+" is not a role of the same account"),
				"IAM is per account: write [revocation] role_arn with {partition} and {account}, and have such a role in each account.")
		}
	}
	cs.mu.Lock()
	client := cs.made[partition+" "+account]
	cs.mu.Unlock()
	if client == nil {
		provider, err := cs.provider(ctx, roleARN, account, revoker)
		if err != nil {
			return nil, err
		}
		client = cs.client(partition, provider)
		cs.mu.Lock()
		cs.made[partition+" "+account] = client
		cs.mu.Unlock()
	}
	return roleIAM{client: client}, nil
}

func (cs *Clients) provider(ctx context.Context, roleARN, account, revoker string) (aws.CredentialsProvider, error) {
	const op = "reach IAM for role"
	if revoker != "" {
		if cs.c.Credentials == nil {
			return nil, fault.New(fault.Internal, op, roleARN, errors.New("no way to assume the revoker"), "")
		}
		p, err := cs.c.Credentials(ctx, revoker)
		if err != nil {
			return nil, fault.New(fault.ClassOf(err), "assume revoker", revoker, err, fault.HelpOf(err))
		}
		return p, nil
	}
	if cs.c.Account == nil {
		return nil, fault.New(fault.Internal, op, roleARN, errors.New("the runner's own account is not known"), "")
	}
	own, err := cs.c.Account(ctx)
	if err != nil {
		return nil, fault.New(fault.ClassOf(err), op, roleARN, err, fault.HelpOf(err))
	}
	if own != account {
		return nil, fault.New(fault.Permanent, op, roleARN, errors.New("the runner's own identity is in account "+own),
			`[revocation] identity = "runner" works for one account only. Have a revoker role in each account and name it in [revocation] role_arn.`)
	}
	return cs.c.AWS.Credentials, nil
}

func (cs *Clients) client(partition string, p aws.CredentialsProvider) *iam.Client {
	cfg := cs.c.AWS.Copy()
	cfg.Credentials = p
	return iam.NewFromConfig(cfg, func(o *iam.Options) {
		if r := homeRegion(partition); r != "" {
			o.Region = r
		}
	})
}

// homeRegion is where a partition's IAM lives; the SDK finds the endpoint from
// any region of the partition, but the runner's own region may be of another.
// "" leaves the runner's own.
func homeRegion(partition string) string {
	switch partition {
	case "aws":
		return "us-east-1"
	case "aws-cn":
		return "cn-north-1"
	case "aws-us-gov":
		return "us-gov-west-1"
	case "aws-eusc":
		return "eusc-de-east-1"
	case "aws-iso":
		return "us-iso-east-1"
	case "aws-iso-b":
		return "us-isob-east-1"
	case "aws-iso-e":
		return "eu-isoe-west-1"
	case "aws-iso-f":
		return "us-isof-south-1"
	}
	return ""
}

// roleIAM asks IAM. Its calls are bounded by ctx alone.
type roleIAM struct{ client *iam.Client }

var _ revoke.IAM = roleIAM{}

// PutRolePolicy implements revoke.IAM.
func (r roleIAM) PutRolePolicy(ctx context.Context, role, policy, document string) (time.Time, error) {
	name, err := roleName(role)
	if err != nil {
		return time.Time{}, err
	}
	out, err := r.client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &policy, PolicyDocument: &document})
	if err != nil {
		return failed(ctx, "write deny policy of role", role, err)
	}
	at, _ := middleware.GetServerTime(out.ResultMetadata)
	return at, nil
}

// DeleteRolePolicy implements revoke.IAM.
func (r roleIAM) DeleteRolePolicy(ctx context.Context, role, policy string) error {
	name, err := roleName(role)
	if err != nil {
		return err
	}
	if _, err = r.client.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &policy}); err != nil {
		_, err = failed(ctx, "delete deny policy of role", role, err)
	}
	return err
}

// maxPages bounds a listing: 10,240 characters do not hold that many policies.
const maxPages = 100

// ListRolePolicies implements revoke.IAM.
func (r roleIAM) ListRolePolicies(ctx context.Context, role string) (names []string, at time.Time, err error) {
	const op = "list policies of role"
	name, err := roleName(role)
	if err != nil {
		return nil, time.Time{}, err
	}
	in := &iam.ListRolePoliciesInput{RoleName: &name}
	for range maxPages {
		out, err := r.client.ListRolePolicies(ctx, in)
		if err != nil {
			at, err := failed(ctx, op, role, err)
			return nil, at, err
		}
		names = append(names, out.PolicyNames...)
		at, _ = middleware.GetServerTime(out.ResultMetadata)
		if !out.IsTruncated || out.Marker == nil {
			return names, at, nil
		}
		in.Marker = out.Marker
	}
	return nil, at, fault.New(fault.Internal, op, role, errors.New("the list does not end"), "")
}

func roleName(arn string) (string, error) {
	_, _, name, ok := revoke.ParseRoleARN(arn)
	if !ok {
		return "", fault.New(fault.Permanent, "ask IAM", "", errors.New("not the ARN of a role"), "")
	}
	return name, nil
}
