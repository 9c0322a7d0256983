package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"envrole/roles"
	"envrole/roles/fault"
)

// Lend asks STS for the session of r: one AssumeRole call, and one before it
// for each role of a chain.
//
// In a chain every role is assumed under the same session name. The source
// identity is set on the first hop, from where AWS carries it on; setting it
// again later is refused by AWS. Tags, transitive keys, external id and
// policies belong to the last hop, the session that is lent: a tag that an
// earlier hop passed on as transitive could not be set again. The sessions of
// earlier hops last 15 minutes and are forgotten on return.
//
// Every error is classified by roles/fault and holds no secret. A permanent or
// refused one means that no session of the grant's role was made; after any
// other there may be one whose answer was lost, under r.Name. Lend ends with
// ctx, and after two minutes at the latest.
func (b *Base) Lend(ctx context.Context, r Request) (Session, error) {
	hops, err := b.hops(r)
	if err != nil {
		return Session{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.lim.lend)
	defer cancel()
	var s Session
	for i, h := range hops {
		if i == 0 {
			s, err = b.first(ctx, h)
		} else {
			s, err = b.call(ctx, h, s.credentials())
		}
		if err != nil {
			return Session{}, err
		}
	}
	return s, nil
}

// As assumes a role for EnvRole's own use, such as writing deny policies, and
// gives an AWS configuration that acts as it for 15 minutes. name is the role
// session name. The errors are those of Lend.
func (b *Base) As(ctx context.Context, roleARN, externalID, name string) (aws.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, b.lim.lend)
	defer cancel()
	s, err := b.first(ctx, hop{
		roleARN: roleARN, name: name, region: b.cfg.Region,
		externalID: externalID, duration: minDuration, ruleDuration: minDuration,
	})
	if err != nil {
		return aws.Config{}, err
	}
	cfg := b.Config()
	cfg.Credentials = credentials.StaticCredentialsProvider{Value: s.credentials()}
	return cfg, nil
}

// hops checks a request and lays out its calls.
func (b *Base) hops(r Request) ([]hop, error) {
	g := r.Grant
	if !ValidName(r.Name) {
		return nil, fault.New(fault.Internal, opAssume, g.RoleARN, errors.New("the session name has another format than NewName gives"), "")
	}
	tags, err := newTagSet(r.Tags, g)
	if err != nil {
		return nil, err
	}
	region := g.Region
	if region == "" {
		region = b.cfg.Region
	}
	duration, warning := asked(g)
	var hops []hop
	caller := ""
	for _, arn := range g.Chain {
		hops = append(hops, hop{
			roleARN: arn, name: r.Name, region: region, caller: caller,
			identity: g.SourceIdentity != "", duration: hubDuration, ruleDuration: hubDuration,
		})
		caller = arn
	}
	last := hop{
		roleARN: g.RoleARN, name: r.Name, region: region, caller: caller,
		externalID: g.ExternalID, policy: g.Policy, policyARNs: g.PolicyARNs, identity: g.SourceIdentity != "",
		tags: tags, bestEffort: g.SessionTags == roles.TagsBestEffort,
		duration: duration, ruleDuration: g.Duration,
	}
	if warning != "" {
		last.warnings = []string{warning}
	}
	hops = append(hops, last)
	hops[0].sourceIdentity = g.SourceIdentity
	if g.SourceIdentity == sourceIdentitySession {
		hops[0].sourceIdentity = r.Name
	}
	return hops, nil
}

// sourceIdentitySession as Grant.SourceIdentity stands for the session's name.
const sourceIdentitySession = "session"

// first makes the first call of a chain, with the runner's own credentials.
func (b *Base) first(ctx context.Context, h hop) (Session, error) {
	creds, err := b.own(ctx)
	if err != nil {
		return Session{}, err
	}
	if h.duration > chainedMax && roleSession(creds) {
		h.duration = chainedMax
		h.warnings = append(slices.Clip(h.warnings), chainedWarning(h.ruleDuration, "the runner's own credentials are a role session"))
	}
	return b.call(ctx, h, creds)
}

// call makes one AssumeRole call, and easier ones where AWS's answer and the
// rule allow it.
func (b *Base) call(ctx context.Context, h hop, creds aws.Credentials) (Session, error) {
	if err := h.check(); err != nil {
		return Session{}, err
	}
	lost := new(atomic.Bool)
	for {
		out, err := b.client(h.region, creds, lost).AssumeRole(ctx, h.input())
		if err == nil {
			s, err := read(out, h)
			if err != nil {
				return Session{}, fault.New(fault.Passing, opAssume, h.roleARN, err, answerHelp)
			}
			return s, nil
		}
		f := readFailure(ctx, err, creds.SecretAccessKey, creds.SessionToken, h.externalID)
		next, ok := h.easier(f)
		if !ok {
			return Session{}, h.fault(f, lost.Load())
		}
		if next.refreshed && !h.refreshed {
			if creds, err = b.renewed(ctx); err != nil {
				if lost.Load() { // see hop.fault
					err = fault.New(fault.Passing, opAssume, h.roleARN, err, "")
				}
				return Session{}, err
			}
		}
		h = next
	}
}

// client is an STS client for the regional endpoint. The credentials are fixed,
// so that every failure of a call is a failure of STS. lost becomes true when a
// request may have been carried out without our seeing its answer.
func (b *Base) client(region string, creds aws.Credentials, lost *atomic.Bool) *sts.Client {
	return sts.NewFromConfig(b.cfg, func(o *sts.Options) {
		o.Region = region
		o.Credentials = credentials.StaticCredentialsProvider{Value: creds}
		o.HTTPClient = bounded{o.HTTPClient, lost}
		o.Logger, o.ClientLogMode = logging.Nop{}, 0
	})
}

// credentials gives the session to the SDK, for the next call of a chain.
func (s Session) credentials() aws.Credentials {
	return aws.Credentials{
		AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey.Reveal(), SessionToken: s.SessionToken.Reveal(),
		CanExpire: true, Expires: s.Expiration, Source: "EnvRole",
	}
}

// nameFormat is AWS's pattern for RoleSessionName.
//
//nolint:gochecknoglobals // a table that is never written
var nameFormat = lazily(`^[\w+=,.@-]{2,64}$`)

// check refuses what AWS would refuse anyway, with a clearer word.
func (h hop) check() error {
	if _, ok := roleName(h.roleARN); !ok {
		return fault.New(fault.Permanent, opAssume, printable(h.roleARN, 256), errors.New("this is not the ARN of an IAM role"),
			"Write the role as arn:aws:iam::ACCOUNT:role/NAME.")
	}
	if !nameFormat().MatchString(h.name) {
		return fault.New(fault.Internal, opAssume, h.roleARN, errors.New("the session name is not one that AWS takes"), "")
	}
	if h.region == "" {
		return fault.New(fault.Permanent, opAssume, h.roleARN, errors.New("no AWS region is configured"),
			"Set region in [aws] or in the rule.")
	}
	if h.duration < minDuration || h.duration > maxDuration {
		return fault.New(fault.Internal, opAssume, h.roleARN, fmt.Errorf("duration %s is out of range", h.duration.Round(time.Second)), "")
	}
	return nil
}
